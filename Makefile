# The program is built and tested with Go alone; this is only for fingers that type make.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
PREFIX  ?= /usr/local

.PHONY: build test check package package-test install clean

build:
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -ldflags "-s -w -X main.version=$(VERSION)" -o ossfs ./cmd/ossfs

test:
	go test -race ./...

check:
	.ci/run

package:
	packaging/build

package-test: package
	OSSFS_TEST_DIST=$(CURDIR)/dist go test -count=1 -v ./packaging

install: build
	install -D -m 755 ossfs $(DESTDIR)$(PREFIX)/bin/ossfs
	install -d $(DESTDIR)/sbin
	ln -sf $(PREFIX)/bin/ossfs $(DESTDIR)/sbin/mount.ossfs
	ln -sf $(PREFIX)/bin/ossfs $(DESTDIR)/sbin/mount.fuse.ossfs
	ln -sf $(PREFIX)/bin/ossfs $(DESTDIR)/sbin/umount.fuse.ossfs
	install -D -m 644 contrib/systemd/ossfs@.service $(DESTDIR)/etc/systemd/system/ossfs@.service

clean:
	rm -rf ossfs dist
