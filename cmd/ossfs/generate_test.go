package main

import (
	"strings"
	"testing"

	"github.com/ossfs/ossfs/internal/clidoc"
)

func generated(t *testing.T, document string) string {
	t.Helper()
	status, out, errText := call(t, "generate", document)
	if status != exitDone || errText != "" {
		t.Fatalf("generate %s: got %d %q", document, status, errText)
	}
	return out
}

// Every flag of every command is in the manual, and every key in the page of the configuration and in the
// sample.
func TestGeneratedDocumentsHaveEveryFlag(t *testing.T) {
	isolate(t)
	page, conf, sample := generated(t, "ossfs.1"), generated(t, "ossfs.conf.5"), generated(t, "ossfs.conf")
	for _, c := range describeProgram().Commands {
		if !strings.Contains(page, ".Ss ossfs "+c.Name+" ") {
			t.Errorf("ossfs.1 has no section of %s", c.Name)
		}
		for _, f := range c.Flags {
			if !strings.Contains(page, "Fl Fl "+f.Name) {
				t.Errorf("ossfs.1 has no --%s of %s", f.Name, c.Name)
			}
			for _, shell := range []string{"ossfs.bash", "ossfs.zsh", "ossfs.fish"} {
				text := generated(t, shell)
				if !strings.Contains(text, f.Name) {
					t.Errorf("%s has no %s of %s", shell, f.Name, c.Name)
				}
			}
		}
	}
	for _, f := range describeProgram().Keys {
		if !strings.Contains(conf, ".It Cm "+f.Option()) {
			t.Errorf("ossfs.conf.5 has no %s", f.Option())
		}
		if !strings.Contains(sample, "\n#"+f.Option()) {
			t.Errorf("the sample has no %s", f.Option())
		}
	}
}

// The sample takes effect as it is, and says the default of each key that has a constant one.
func TestSampleConfiguration(t *testing.T) {
	isolate(t)
	for _, f := range describeProgram().Keys {
		want := "#" + f.Option()
		if f.Value != "" && f.Default != "" {
			want += " = " + f.Default
		}
		if !strings.Contains(generated(t, "ossfs.conf"), want+"\n") && f.Default != "" {
			t.Errorf("the sample does not say %q", want)
		}
	}
}

// What completion offers for arguments agrees with the usage: as many as it shows.
func TestArgumentsOfEveryCommand(t *testing.T) {
	for _, c := range describeProgram().Commands {
		var shown int
		for word := range strings.FieldsSeq(strings.SplitN(c.Usage, "[--", 2)[0]) {
			if word != "[flags]" {
				shown++
			}
		}
		for _, a := range c.Arguments {
			if a == clidoc.Mounted && c.Name == "status" {
				shown = 1 // its usage begins with flags
			}
		}
		if c.Name == demoName {
			shown = 1 // what follows -- is the user's
		}
		if len(c.Arguments) != shown {
			t.Errorf("%s: usage %q, but completion knows %v", c.Name, c.Usage, c.Arguments)
		}
	}
}

// Each option that the manual explains is one that -o takes.
func TestGenericOptionsAreTaken(t *testing.T) {
	for _, name := range genericNames() {
		if !isGeneric(name) {
			t.Errorf("-o %s is explained and not taken", name)
		}
	}
}
