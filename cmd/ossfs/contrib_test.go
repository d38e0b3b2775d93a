package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// systemd is told when the mount answers, that it ends, and again and again that it is still sending.
func TestSystemdIsNotified(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.home, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	told := func(want string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := socket.Read(buf)
		if err != nil || !slices.Contains(strings.Split(string(buf[:n]), "\n"), want) {
			t.Fatalf("got %q, %v; want %s", buf[:n], err, want)
		}
	}
	cmd, _ := r.with("NOTIFY_SOCKET="+path).foreground("--write-back", "1h")
	told("READY=1")
	r.write("hello", "world")
	r.server.SetLatency(time.Second)
	signalTo(t, cmd, syscall.SIGTERM)
	told("STOPPING=1")
	told(extendTimeout)
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v\n%s", err, r.log())
	}
}

func TestUnits(t *testing.T) {
	service, err := os.ReadFile(filepath.Join(contrib, "systemd/ossfs@.service"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(service), "\n")
	for _, want := range []string{"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=2", "KillMode=mixed", "TimeoutStopSec=1h", "SyslogIdentifier=ossfs"} {
		if !slices.Contains(lines, want) {
			t.Errorf("ossfs@.service does not say %s", want)
		}
	}
	analyze := needTool(t, "systemd-analyze", "systemd")
	dir := t.TempDir() // a template is verified as an instance
	mount, err := os.ReadFile(filepath.Join(contrib, "systemd/mnt-bucket.mount"))
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "ossfs@x.service"), service, 0o600),
		os.WriteFile(filepath.Join(dir, "mnt-bucket.mount"), mount, 0o600)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "verify", filepath.Join(dir, "ossfs@x.service"), filepath.Join(dir, "mnt-bucket.mount")).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// manifest is what is looked at of Kubernetes' objects.
type manifest struct {
	Kind     string
	Metadata struct {
		Name, Namespace     string
		Labels, Annotations map[string]string
	}
	Spec struct {
		ServiceAccountName            string      `yaml:"serviceAccountName"`
		TerminationGracePeriodSeconds int         `yaml:"terminationGracePeriodSeconds"`
		InitContainers                []container `yaml:"initContainers"`
		Containers                    []container
		Volumes                       []struct{ Name string }
	}
}

type container struct {
	Name, Image     string
	RestartPolicy   string `yaml:"restartPolicy"`
	Command, Args   []string
	SecurityContext struct{ Privileged bool } `yaml:"securityContext"`
	StartupProbe    struct {
		Exec struct{ Command []string }
	} `yaml:"startupProbe"`
	VolumeMounts []volumeMount `yaml:"volumeMounts"`
}

type volumeMount struct {
	Name      string
	MountPath string `yaml:"mountPath"`
	How       string `yaml:"mountPropagation"`
}

// The example is a sidecar that mounts what the program sees, with its service account's role, and a command line that we take.
func TestKubernetesExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(contrib, "kubernetes/sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]manifest{}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects[m.Kind] = m
	}
	pod, account, space := objects["Pod"], objects["ServiceAccount"], objects["Namespace"]
	if len(pod.Spec.InitContainers) != 2 || len(pod.Spec.Containers) != 1 {
		t.Fatalf("got %+v, want a mountpoint, a sidecar and a program", pod.Spec)
	}
	maker, sidecar, program := pod.Spec.InitContainers[0], pod.Spec.InitContainers[1], pod.Spec.Containers[0]
	for what, ok := range map[string]bool{
		"the pod has the service account":        pod.Spec.ServiceAccountName == account.Metadata.Name,
		"all are in one namespace":               pod.Metadata.Namespace == space.Metadata.Name && account.Metadata.Namespace == space.Metadata.Name,
		"the webhook looks at the namespace":     space.Metadata.Labels["pod-identity.alibabacloud.com/injection"] == "on",
		"the account has a role":                 account.Metadata.Annotations["pod-identity.alibabacloud.com/role-name"] != "",
		"it is a sidecar":                        sidecar.RestartPolicy == "Always",
		"it may propagate mounts":                sidecar.SecurityContext.Privileged,
		"the mount goes out of the sidecar":      sidecar.VolumeMounts[0].How == "Bidirectional",
		"and into the program":                   program.VolumeMounts[0].How == "HostToContainer" && program.VolumeMounts[0].Name == sidecar.VolumeMounts[0].Name,
		"there is time to send what is staged":   pod.Spec.TerminationGracePeriodSeconds >= 600,
		"the program starts when the mount does": slices.Contains(sidecar.StartupProbe.Exec.Command, "status"),
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range []container{maker, sidecar, program} {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: there is no volume %s", c.Name, m.Name)
			}
		}
	}
	flags, s := newFlagSet(mountName), new(settings)
	s.define(flags)
	args := sidecar.Args
	if err := errors.Join(flags.Parse(args[1:]), s.check(), mountArguments(flags.Args())); err != nil || args[0] != mountName {
		t.Fatalf("the sidecar's command line: %q: %v", args, err)
	}
	target := flags.Arg(1)
	if !slices.Equal(maker.Command, []string{"mkdir", "-p", target}) {
		t.Errorf("%s is not made before it is mounted on: %q", target, maker.Command)
	}
	if !s.foreground || !strings.HasPrefix(target, sidecar.VolumeMounts[0].MountPath+"/") || !slices.Contains(sidecar.StartupProbe.Exec.Command, target) {
		t.Errorf("the sidecar mounts on %s, foreground %v", target, s.foreground)
	}
	if !slices.ContainsFunc(sidecar.VolumeMounts, func(m volumeMount) bool { return m.MountPath == s.stateDir }) {
		t.Errorf("the state directory %s is on no volume", s.stateDir)
	}
}
