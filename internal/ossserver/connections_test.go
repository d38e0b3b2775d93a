package ossserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// Deserted waits for a client that is connected, and not for one that has gone, nor for one of another port.
func TestDeserted(t *testing.T) {
	s := ossservertest.NewTest(t, ossserver.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it is known to the server
		t.Fatal(err)
	}
	other, err := s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deserted(t.Context(), other); err != nil {
		t.Errorf("another port, with nobody: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Deserted(over, s.Endpoint); !errors.Is(err, context.Canceled) {
		t.Errorf("with a client: got %v, want it to wait", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Deserted(ctx, s.Endpoint); err != nil {
		t.Errorf("without: %v", err)
	}
}
