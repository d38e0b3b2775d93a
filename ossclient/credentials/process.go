package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/ossfs/ossfs/ossclient"
)

const (
	envProcess     = "OSSFS_CREDENTIAL_PROCESS"
	envNoExternal  = "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS" // the CLI's: no commands, no URIs
	processTimeout = time.Minute
)

// processSource is a command that prints credentials. No shell reads it. It gets neither a terminal
// nor the keys of our environment, and what it says on stderr is not repeated: it may be a secret.
type processSource struct {
	args    func() []string // arguments may be secrets: see sealed
	timeout time.Duration
}

var _ Source = processSource{}

func (k *kit) process(command string) (Source, error) {
	if k.noExternal() {
		return nil, unusable("%s is set", envNoExternal)
	}
	args, err := splitCommand(command)
	if err != nil {
		return nil, unusable("the credential process: %v", err)
	}
	return processSource{func() []string { return args }, processTimeout}, nil
}

func (k *kit) noExternal() bool {
	v := k.env(envNoExternal)
	return v == "1" || strings.EqualFold(v, "true")
}

func (p processSource) String() string {
	return "the credential process " + filepath.Base(p.args()[0])
}

func (p processSource) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	none := ossclient.Credential{}
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	args := p.args()
	cmd := exec.CommandContext(limited, args[0], args[1:]...)
	out := &boundedBuffer{limit: maxAnswer}
	cmd.Stdout = out
	cmd.Env = withoutKeys(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its children, too
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return none, &failure{why: p.String(), temporary: true, err: context.Cause(ctx)}
	case limited.Err() != nil:
		return none, &failure{why: fmt.Sprintf("%s took longer than %v", p, p.timeout), temporary: true}
	case out.overflow:
		return none, &failure{why: fmt.Sprintf("%s printed more than %d bytes", p, maxAnswer)}
	case errors.As(err, &exit):
		return none, &failure{why: fmt.Sprintf("%s ended with %s; run it by hand to see what it says", p, exit.ProcessState)}
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return none, &failure{why: p.String() + " was not found"}
	case err != nil:
		return none, &failure{why: p.String() + " could not be run"}
	}
	c, err := parseAnswer(out.buf.Bytes())
	if err != nil {
		return none, &failure{why: p.String(), err: err}
	}
	return c, nil
}

// withoutKeys is an environment without the secrets that ossfs itself may have been given.
func withoutKeys(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		for _, names := range families() {
			if slices.Contains(names[:], name) {
				return true
			}
		}
		return false
	})
}

// boundedBuffer refuses more than limit bytes, which ends the command by a broken pipe. It embeds
// nothing: io.Copy would find the ReadFrom of a bytes.Buffer and never call Write.
type boundedBuffer struct {
	buf      bytes.Buffer
	limit    int
	overflow bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.limit {
		b.overflow = true
		return 0, errors.New("too much output")
	}
	return b.buf.Write(p)
}

// splitCommand takes a command line apart as a POSIX shell would, without its expansions: blanks
// separate, quotes join, a backslash takes the next character as it is.
func splitCommand(command string) ([]string, error) {
	var args []string
	var word strings.Builder
	var quote rune
	started, escaped := false, false
	for _, r := range command {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", r) {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, started = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, started = r, true
		case unicode.IsSpace(r):
			if started {
				args = append(args, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteRune(r)
			started = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("its command line ends inside a quotation")
	}
	if started {
		args = append(args, word.String())
	}
	if len(args) == 0 || args[0] == "" {
		return nil, errors.New("no command is named")
	}
	return args, nil
}

// namedProcess is the command of the options or of the environment.
type namedProcess struct {
	kit     *kit
	command secret
}

var _ Source = namedProcess{}

func (namedProcess) String() string { return "the credential process (" + envProcess + ")" }

func (n namedProcess) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	command := first(n.command.reveal(), n.kit.env(envProcess))
	if command == "" {
		return ossclient.Credential{}, absent("it is not set")
	}
	source, err := n.kit.process(command)
	if err != nil {
		return ossclient.Credential{}, err
	}
	return source.Retrieve(ctx)
}
