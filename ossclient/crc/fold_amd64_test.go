package crc

import "testing"

func TestConstantsArePowersOfX(t *testing.T) {
	for _, c := range []struct{ n, want uint64 }{{1087, x1087}, {1023, x1023}, {191, x191}, {127, x127}} {
		if got := powerOfX(c.n); got != c.want {
			t.Errorf("x^%d: got %#x, want %#x", c.n, got, c.want)
		}
	}
}

func TestThisProcessorFolds(t *testing.T) {
	if !hasFold() {
		t.Skip("no PCLMULQDQ: only the tables are tested")
	}
	p := random(128)
	var out [16]byte
	fold(^uint64(0), &p[0], len(p), &out)
	if got, want := ^slicing(0, out[:]), reference(0, p); got != want {
		t.Errorf("one round: got %#x, want %#x", got, want)
	}
}
