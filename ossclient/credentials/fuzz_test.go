package credentials

import (
	"strings"
	"testing"
)

func FuzzParseINI(f *testing.F) {
	for _, seed := range []string{"[default]\na=b\n", "\ufeff[profile x]\r\nk = 'v' # c\r\n", "[[]\n=\n[]=]\n", "a=\"b;c\";d"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range parseINI(data) {
			if s.fields.values == nil {
				t.Fatal("a section without fields")
			}
			if s.name != "" {
				if _, ok := findSection(parseINI(data), s.name); !ok {
					t.Fatalf("section %q is not found again", s.name)
				}
			}
		}
		p, err := parseOSSUtil(data)
		if err != nil {
			t.Fatal(err)
		}
		p.find(p.current)
	})
}

func FuzzParseCLI(f *testing.F) {
	f.Add([]byte(`{"current":"a","profiles":[{"name":"a","mode":"AK","access_key_id":"i","access_key_secret":"s"}]}`))
	f.Add([]byte(`{"profiles":[{"name":"a","mode":"ChainableRamRoleArn","source_profile":"a","ram_role_arn":"r"},null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseCLI(data)
		if err != nil {
			return
		}
		fields, ok := p.find(p.current)
		if !ok {
			return
		}
		k := newKit(Options{Env: func(string) string { return "" }, Home: "/nowhere"})
		source, err := k.source(profileOf{where: "file", name: p.current, fields: fields, find: p.find})
		if (source == nil) == (err == nil) {
			t.Fatalf("got %v and %v, want one of them", source, err)
		}
	})
}

func FuzzParsePasswd(f *testing.F) {
	f.Add("# c\nb:i:s\ni:s\n", "b")
	f.Add(":::\n::\n:\n", "")
	f.Fuzz(func(t *testing.T, text, bucket string) {
		c, err := parsePasswd(text, bucket)
		if err != nil {
			return
		}
		if strings.Contains(c.ID+c.Secret, ":") || strings.Contains(c.ID+c.Secret, "\n") {
			t.Fatalf("got %q %q: more than a field", c.ID, c.Secret)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(tempAnswer("2026-01-01T00:00:00Z")))
	f.Add([]byte(`{"Credentials":{"AccessKeyId":"a","AccessKeySecret":"b","Expiration":1700000000}}`))
	f.Add([]byte(`{"access_key_id":"a","access_key_secret":"b","expiration":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseAnswer(data)
		if err == nil && check(c) != nil {
			t.Fatalf("accepted what no key can be: %v", check(c))
		}
	})
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`a "b c" 'd' \e`)
	f.Fuzz(func(t *testing.T, command string) {
		args, err := splitCommand(command)
		if err == nil && (len(args) == 0 || args[0] == "") {
			t.Fatalf("%q gives no command and no error", command)
		}
	})
}
