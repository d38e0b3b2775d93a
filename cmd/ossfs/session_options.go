package main

import (
	"os"
	"runtime/debug"
	"time"

	"github.com/ossfs/ossfs/fs"
	"github.com/ossfs/ossfs/internal/attr"
	"github.com/ossfs/ossfs/writeback"
)

// mountOptions puts the settings into fs's words.
func (x *session) mountOptions() (fs.Options, error) {
	s := x.settings
	memory, stage := int64(s.memory), int64(s.stageSize)
	if memory == 0 {
		memory = defaultMemory()
	}
	if stage == 0 {
		var err error
		if stage, err = defaultStageSize(x.dir); err != nil {
			return fs.Options{}, failf("state directory %s: %w", x.dir, err)
		}
	}
	newObjects, err := s.newObjects()
	if err != nil {
		return fs.Options{}, err
	}
	limit := func(inodes int) { debug.SetMemoryLimit(memory + memoryOverhead + int64(inodes)*inodeMemory) }
	limit(0)
	var observer func(fs.Operation)
	if x.metrics != nil {
		observer = x.metrics.answered
	}
	return fs.Options{
		Bucket: x.bucket, Prefix: x.source.prefix, Source: x.source.String(), Mountpoint: x.place.path, StateDir: x.dir,
		ReadOnly: s.readOnly, AllowOther: s.allowOther, MountOptions: s.kernel,
		Defaults: s.defaults(), TTL: time.Duration(s.attrTTL),
		WriteBack: s.writeBack.delay, WriteThrough: s.writeBack.off, LocalFsync: s.fsync.value == "local",
		Memory: memory, StageSize: stage, OnConflict: s.conflict(),
		SinglePut: int64(s.singlePut), NewObjects: newObjects,
		NoHead: s.noHead, Inodes: limit, Logger: x.log.Logger, Debug: s.debug, Observer: observer,
	}, nil
}

func (s *settings) defaults() attr.Defaults {
	d := attr.Defaults{
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), FileMode: uint32(s.fileMode), DirMode: uint32(s.dirMode),
		Umask: uint32(s.umask),
	}
	if s.uid.set {
		d.UID = s.uid.id
	}
	if s.gid.set {
		d.GID = s.gid.id
	}
	return d
}

func (s *settings) conflict() writeback.Conflict {
	switch s.onConflict.value {
	case "overwrite":
		return writeback.Overwrite
	case "fail":
		return writeback.Fail
	default:
		return writeback.KeepBoth
	}
}
