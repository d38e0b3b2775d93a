"""A database that is written to until that fails, or looked at: WHAT MODE PATH SEED."""
import hashlib
import random
import sqlite3
import sys

what, mode, path, seed = sys.argv[1:]
db = sqlite3.connect(path, timeout=30, isolation_level=None)
db.execute("pragma synchronous = extra")
db.execute("pragma cache_size = 20")
db.execute("create table if not exists n (n integer)")
db.execute("create table if not exists t (i integer primary key, body blob, sum text)")
db.execute("insert into n select 0 where not exists (select * from n)")


def count():
    return db.execute("select n from n").fetchone()[0]


def look():
    """Every transaction changes the number and a row: one without the other was cut in two."""
    problem = db.execute("pragma integrity_check").fetchone()[0]
    assert problem == "ok", problem
    last = db.execute("select max(i) from t").fetchone()[0] or 0
    assert last == count(), (last, count())
    for i, body, sum in db.execute("select i, body, sum from t"):
        assert hashlib.md5(body).hexdigest() == sum, i
    print(count())


def write():
    now = db.execute("pragma journal_mode = " + mode).fetchone()[0]
    assert now == mode, now
    r = random.Random(int(seed))
    for i in range(count() + 1, 1 << 30):
        body = r.randbytes(r.choice((10, 3000, 100000)))
        db.execute("begin immediate")
        db.execute("update n set n = ?", (i,))
        db.execute("insert into t values (?, ?, ?)", (i, body, hashlib.md5(body).hexdigest()))
        if r.randrange(3) == 0:
            db.execute("delete from t where i = ?", (r.randrange(i),))
        db.execute("commit")
        print(i, flush=True)


{"look": look, "write": write}[what]()
