package onefile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ossfs/ossfs/tests/harness"
)

// Run is a driver's process, from the other side.
type Run struct {
	cmd      *exec.Cmd
	in       io.Closer
	answers  *json.Encoder
	messages chan Message
	failed   error // why messages is closed
}

// Start starts a driver.
func Start(ctx context.Context, c Config) (*Run, error) {
	arg, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd, err := harness.Job(ctx, WorkJob, string(arg))
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "GODEBUG=asyncpreemptoff=1") // by signals: they would interrupt system calls that take long
	in, out, err := harness.Converse(cmd)
	if err != nil {
		return nil, err
	}
	x := &Run{cmd: cmd, in: in, answers: json.NewEncoder(in), messages: make(chan Message)}
	go x.listen(json.NewDecoder(out))
	return x, nil
}

func (x *Run) listen(out *json.Decoder) {
	defer close(x.messages)
	for {
		var m Message
		if x.failed = out.Decode(&m); x.failed != nil {
			return
		}
		x.messages <- m
	}
}

// ErrHang says that a driver has not told anything for too long.
var ErrHang = errors.New("it hangs")

// Next is what the driver tells next.
func (x *Run) Next(patience time.Duration) (Message, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case m, ok := <-x.messages:
		if !ok {
			return m, fmt.Errorf("the driver ended: %w", x.failed)
		}
		return m, nil
	case <-late.C:
		return Message{}, fmt.Errorf("nothing for %v: %w", patience, ErrHang)
	}
}

// Answer answers what the driver has asked for.
func (x *Run) Answer(a Answer) error { return x.answers.Encode(a) }

// Waits says where in the kernel the driver's threads wait.
func (x *Run) Waits() string {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", x.cmd.Process.Pid))
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	for _, name := range files {
		stack, err := os.ReadFile(name)
		fmt.Fprintf(&s, "%s (%v)\n%s", name, err, stack)
	}
	return s.String()
}

// End sees the process to its end. One that is not done is ended, and that works only when no call of it hangs.
func (x *Run) End(done bool) error {
	if !done {
		_ = x.cmd.Process.Kill() // it may have ended
	}
	_ = x.in.Close()
	for range x.messages { // what it tells yet
	}
	if err := x.cmd.Wait(); done {
		return err
	}
	return nil
}
