package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// conditions are what a machine works under.
type conditions struct {
	writeBack time.Duration // how long what was closed rests until it is sent
	kept      int           // how long the kernel keeps what is dirty, centiseconds
	singlePut int           // bytes
	stage     int           // bytes; 0: as much as there is
	fsync     string
	latency   time.Duration // of the bucket
}

func conditionsOf(rng *rand.Rand) conditions {
	c := conditions{fsync: "bucket"}
	c.writeBack = []time.Duration{time.Second, 3 * time.Second, time.Hour}[rng.IntN(3)]
	c.kept = []int{5, 50, 3000, 3000}[rng.IntN(4)]
	c.singlePut = []int{256 << 10, 1 << 20, 16 << 20}[rng.IntN(3)]
	if rng.IntN(3) == 0 {
		c.stage = 12 << 20 // files are sent while they are written
	}
	if rng.IntN(5) == 0 {
		c.fsync = "local"
	}
	c.latency = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond, 400 * time.Millisecond}[rng.IntN(4)]
	return c
}

// words are for the command line of the machine.
func (c conditions) words() []string {
	list := []string{fmt.Sprint("KEPT=", c.kept), fmt.Sprint("OSSFS_WRITE_BACK=", c.writeBack), fmt.Sprint("OSSFS_SINGLE_PUT=", c.singlePut), "OSSFS_FSYNC=" + c.fsync, fmt.Sprint("LATENCY=", c.latency)}
	if c.stage > 0 {
		list = append(list, fmt.Sprint("OSSFS_STAGE_SIZE=", c.stage))
	}
	return list
}

// trapOf is a moment at which the power goes.
func trapOf(rng *rand.Rand) *trap {
	t := newTrap()
	switch n := 1 + rng.IntN(6); rng.IntN(3) {
	case 0:
		t.writes = n
	case 1:
		t.flushes = n
	default:
		t.flushes, t.after = n, true
	}
	return t
}
