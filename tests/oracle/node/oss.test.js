'use strict';

// The official Node SDK against the project's OSS server: path-style and virtual hosts, V1 and V4 signatures,
// permanent and STS keys. OSSFS_ORACLE_SERVER is the built server (see ../run).

const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const crypto = require('node:crypto');
const http = require('node:http');
const OSS = require('ali-oss');

let server;
let port;

before(async () => {
  server = spawn(process.env.OSSFS_ORACLE_SERVER, { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    server.stdout.once('data', resolve);
  });
  port = new URL(line.toString().trim()).port;
});

after(() => server && server.stdin.end());

// Every name is this machine: virtual hosts need no DNS, and nothing leaves the loopback.
const lookup = (name, options, done) => (options.all
  ? done(null, [{ address: '127.0.0.1', family: 4 }])
  : done(null, '127.0.0.1', 4));
const agent = new http.Agent({ lookup });

const keys = [
  { accessKeyId: 'test-id', accessKeySecret: 'test-secret' },
  { accessKeyId: 'STS.id', accessKeySecret: 'sts-secret', stsToken: 'token/with+signs=' },
];

const ways = [];
for (const authorizationV4 of [false, true]) {
  for (const path of [false, true]) {
    for (const key of keys) ways.push({ authorizationV4, path, key });
  }
}

const client = ({ authorizationV4, path, key }) => new OSS({
  ...key,
  bucket: 'test',
  region: 'oss-cn-hangzhou',
  endpoint: path ? `http://localhost:${port}` : `http://oss-cn-hangzhou.aliyuncs.com:${port}`,
  sldEnable: path,
  authorizationV4,
  agent,
});

const empty = async (c) => {
  const all = (await c.listV2({ 'max-keys': 1000 })).objects || [];
  if (all.length > 0) await c.deleteMulti(all.map((o) => o.name), { quiet: true });
};

const fetched = (url) => new Promise((resolve, reject) => {
  http.get(url, { agent }, (res) => {
    const chunks = [];
    res.on('data', (c) => chunks.push(c));
    res.on('end', () => resolve({ status: res.statusCode, body: Buffer.concat(chunks).toString() }));
  }).on('error', reject);
});

for (const way of ways) {
  const name = `${way.authorizationV4 ? 'V4' : 'V1'} ${way.path ? 'path' : 'virtual host'} ${way.key.stsToken ? 'STS' : 'key'}`;

  test(`${name}: objects`, async () => {
    const c = client(way);
    await empty(c);
    const body = crypto.randomBytes(300_000);
    for (const key of ['a', 'dir/', 'a b+c%20&=?#é世界/x', "-~._!*'();:@$,"]) {
      const put = await c.put(key, body, { meta: { mode: 33188 }, mime: 'text/x', headers: { 'x-oss-tagging': 'a=1' } });
      assert.equal(put.res.status, 200);
      const get = await c.get(key);
      assert.deepEqual(get.content, body);
      const part = await c.get(key, { headers: { Range: 'bytes=5-9', 'x-oss-range-behavior': 'standard' } });
      assert.deepEqual(part.content, body.subarray(5, 10));
      const head = await c.head(key);
      assert.equal(head.meta.mode, '33188');
      assert.equal(head.res.headers['content-type'], 'text/x');
      assert.equal(head.res.headers.etag, `"${crypto.createHash('md5').update(body).digest('hex').toUpperCase()}"`);
      await c.copy(`copy/${key}`, key, { meta: { mode: 1 } });
      assert.equal((await c.head(`copy/${key}`)).meta.mode, '1');
      assert.equal((await c.getObjectMeta(key)).res.headers['content-length'], '300000');
    }
    await assert.rejects(c.get('absent'), { code: 'NoSuchKey', status: 404 });
    await assert.rejects(c.head('absent'), { status: 404 });
    const put = await c.put('once', Buffer.from('1'), { headers: { 'x-oss-forbid-overwrite': 'true' } }).then(
      () => c.put('once', Buffer.from('2'), { headers: { 'x-oss-forbid-overwrite': 'true' } }),
    ).catch((e) => e);
    assert.equal(put.code, 'FileAlreadyExists');
    const listed = await c.listV2({ 'max-keys': 1000 });
    const v1 = await c.list({ 'max-keys': 1000 });
    assert.deepEqual(listed.objects.map((o) => o.name), v1.objects.map((o) => o.name));
    assert.equal(listed.objects.length, 9);
    const page = await c.listV2({ delimiter: '/', 'max-keys': 2 });
    assert.equal(page.isTruncated, true);
    const next = await c.listV2({ delimiter: '/', 'max-keys': 1000, 'continuation-token': page.nextContinuationToken });
    assert.ok(next.objects.length > 0);
    const gone = await c.deleteMulti(listed.objects.map((o) => o.name), { quiet: false });
    assert.equal(gone.deleted.length, 9);
    await c.put('x', Buffer.from('x'));
    await c.deleteMulti(['x'], { quiet: true });
    assert.equal((await c.listV2({})).keyCount, 0);
    await c.delete('nothing');
  });

  test(`${name}: multipart, append, links, the rest`, async () => {
    const c = client(way);
    await empty(c);
    const body = crypto.randomBytes(450_000);
    const up = await c.initMultipartUpload('big é');
    assert.equal((await c.listUploads({ 'max-uploads': 10 })).uploads[0].name, 'big é');
    const parts = [];
    for (let i = 0; i * 150_000 < body.length; i += 1) {
      const { Readable } = require('node:stream');
      const piece = body.subarray(i * 150_000, (i + 1) * 150_000);
      const p = await c._uploadPart('big é', up.uploadId, i + 1, { stream: Readable.from([piece]), size: piece.length });
      parts.push({ number: i + 1, etag: p.etag });
    }
    assert.equal((await c.listParts('big é', up.uploadId, { 'max-parts': 100 })).parts.length, 3);
    await c.completeMultipartUpload('big é', up.uploadId, parts);
    assert.deepEqual((await c.get('big é')).content, body);
    const up2 = await c.initMultipartUpload('copied');
    const p = await c.uploadPartCopy('copied', up2.uploadId, 1, '0-199999', { sourceKey: 'big é', sourceBucketName: 'test' });
    await c.completeMultipartUpload('copied', up2.uploadId, [{ number: 1, etag: p.etag }]);
    assert.deepEqual((await c.get('copied')).content, body.subarray(0, 200_000));
    const up3 = await c.initMultipartUpload('gone');
    await c.abortMultipartUpload('gone', up3.uploadId);
    await assert.rejects(c.listParts('gone', up3.uploadId), { code: 'NoSuchUpload' });

    let a = await c.append('log', Buffer.from('one '));
    a = await c.append('log', Buffer.from('two'), { position: a.nextAppendPosition });
    assert.equal((await c.get('log')).content.toString(), 'one two');
    await assert.rejects(c.append('log', Buffer.from('x'), { position: 1 }), { code: 'PositionNotEqualToLength' });

    await c.putSymlink('link', 'log', { storageClass: 'Standard', meta: { l: '1' } });
    assert.equal((await c.getSymlink('link')).targetName, 'log');
    assert.equal((await c.get('link')).content.toString(), 'one two');

    await c.putACL('log', 'public-read');
    assert.equal((await c.getACL('log')).acl, 'public-read');
    await c.putObjectTagging('log', { k: 'v + w' });
    assert.deepEqual((await c.getObjectTagging('log')).tag, { k: 'v + w' });
    await c.deleteObjectTagging('log');
    await c.put('cold', Buffer.from('c'), { headers: { 'x-oss-storage-class': 'Archive' } });
    await assert.rejects(c.get('cold'), { code: 'InvalidObjectState' });
    assert.equal((await c.restore('cold')).res.status, 202);
    assert.equal((await c.get('cold')).content.toString(), 'c');

    assert.equal((await c.getBucketInfo('test')).bucket.Location, 'oss-cn-hangzhou');
    assert.equal((await c.getBucketLocation('test')).location, 'oss-cn-hangzhou');
    assert.equal((await c.getBucketACL('test')).acl, 'private');
    assert.ok((await c.getBucketStat('test')).stat.ObjectCount > 0);
    await c.putBucket('another-bucket');
    assert.ok((await c.listBuckets()).buckets.some((b) => b.name === 'another-bucket'));
    await c.putBucketVersioning('another-bucket', 'Suspended');
    assert.equal((await c.getBucketVersioning('another-bucket')).versionStatus, 'Suspended');
    await c.deleteBucket('another-bucket');
  });

  if (!way.path) {
    test(`${name}: signed URLs`, async () => {
      const c = client(way);
      await c.put('dir/ü', Buffer.from('hello'));
      const url = way.authorizationV4
        ? await c.signatureUrlV4('GET', 60, undefined, 'dir/ü')
        : c.signatureUrl('dir/ü', { expires: 60 });
      assert.deepEqual(await fetched(url), { status: 200, body: 'hello' });
      assert.equal((await fetched(url.replace('dir/', 'Dir/'))).status, 403);
      await c.delete('dir/ü');
    });
  }
}

test('a wrong secret, id and token are refused', async () => {
  const wrong = (change) => client({ authorizationV4: true, path: true, key: { ...keys[0], ...change } });
  await assert.rejects(wrong({ accessKeySecret: 'x' }).list({}), { code: 'SignatureDoesNotMatch', status: 403 });
  await assert.rejects(wrong({ accessKeyId: 'x' }).list({}), { code: 'InvalidAccessKeyId', status: 403 });
  await assert.rejects(wrong({ stsToken: 'x' }).list({}), { code: 'InvalidSecurityToken', status: 403 });
});
