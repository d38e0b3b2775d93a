package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossfs/ossfs/ossclient"
)

const maxFile = 1 << 20 // bytes; no credentials file is near it

// profileFile is a file of named profiles: each of the formats below is one parser. The file is read
// at each Retrieve: one that was rewritten counts.
type profileFile struct {
	kit     *kit
	paths   []string // the first that exists is read
	profile string   // empty: the file's own default
	parse   func(data []byte) (profiles, error)
}

var _ Source = profileFile{}

// profiles is a file that was understood.
type profiles struct {
	current string                           // the profile that counts when none is named
	find    func(name string) (fields, bool) // by its name
}

func (p profileFile) String() string {
	if p.profile != "" {
		return fmt.Sprintf("profile %q of %s", p.profile, strings.Join(p.paths, ", "))
	}
	return strings.Join(p.paths, ", ")
}

func (p profileFile) Retrieve(ctx context.Context) (ossclient.Credential, error) {
	source, err := p.load()
	if err != nil {
		return ossclient.Credential{}, err
	}
	return source.Retrieve(ctx)
}

// load reads the file and makes the source that the profile describes.
func (p profileFile) load() (Source, error) {
	missing := absent("there is no such file")
	for _, path := range p.paths {
		data, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, unusable("%v", err)
		}
		parsed, err := p.parse(data)
		if err != nil {
			return nil, unusable("%s: %v", path, err)
		}
		name := p.profile
		if name == "" {
			name = parsed.current
		}
		f, ok := parsed.find(name)
		if !ok {
			missing = absent("%s has no profile %q", path, name)
			continue
		}
		return p.kit.source(profileOf{where: path, name: name, fields: f, find: parsed.find})
	}
	return nil, missing
}

// readFile reads a regular file of a sane size. A pipe or a device could block for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}

// ossFile is the credentials file of the OSS SDKs.
func (k *kit) ossFile(profile string) Source {
	if profile == "" {
		profile = first(k.env("OSS_PROFILE"), "default")
	}
	return profileFile{k, k.paths("OSS_CREDENTIAL_PROFILES_FILE", ".oss/credentials"), profile, parseProfiles}
}

// sharedFile is the credentials file that all Alibaba SDKs share.
func (k *kit) sharedFile(profile string) Source {
	if profile == "" {
		profile = first(k.env("ALIBABA_CLOUD_PROFILE"), "default")
	}
	return profileFile{k, k.paths("ALIBABA_CLOUD_CREDENTIALS_FILE",
		".alibabacloud/credentials.ini", ".alibabacloud/credentials", ".aliyun/credentials.ini"), profile, parseProfiles}
}

// cliFile is the configuration of the Alibaba Cloud CLI.
func (k *kit) cliFile(profile string) Source {
	if profile == "" {
		profile = k.env("ALIBABA_CLOUD_PROFILE")
	}
	return profileFile{k, k.paths("ALIBABA_CLOUD_CONFIG_FILE", ".aliyun/config.json"), profile, parseCLI}
}

// ossutilFile is the configuration of ossutil 1 and 2.
func (k *kit) ossutilFile(profile string) Source {
	return profileFile{k, k.paths("", ".ossutilconfig"), profile, parseOSSUtil}
}

// paths gives the file an environment variable (if there is one) names, or else the places below the home.
func (k *kit) paths(variable string, inHome ...string) []string {
	if path := k.env(variable); variable != "" && path != "" {
		return []string{path}
	}
	if k.home == "" {
		return nil
	}
	list := make([]string, 0, len(inHome))
	for _, name := range inHome {
		list = append(list, filepath.Join(k.home, name))
	}
	return list
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func parseProfiles(data []byte) (profiles, error) {
	sections := parseINI(data)
	return profiles{"default", func(name string) (fields, bool) { return findSection(sections, name) }}, nil
}

// parseOSSUtil knows the [default] of ossutil 2 and the [Credentials] of ossutil 1, whose [AkService]
// names the URL of the metadata service.
func parseOSSUtil(data []byte) (profiles, error) {
	sections := parseINI(data)
	find := func(name string) (fields, bool) {
		f, ok := findSection(sections, name)
		if service, has := findSection(sections, "AkService"); ok && has && f.get("accessKeyID") == "" {
			if role := filepath.Base(service.get("ecsAk")); strings.Contains(service.get("ecsAk"), "://") {
				f.set("mode", "EcsRamRole")
				f.set("ecsRoleName", role)
			}
		}
		return f, ok
	}
	if _, ok := findSection(sections, "default"); !ok {
		if _, ok := findSection(sections, "Credentials"); ok {
			return profiles{"Credentials", find}, nil
		}
	}
	return profiles{"default", find}, nil
}

// parseCLI reads the JSON of the CLI. Its errors do not quote it.
func parseCLI(data []byte) (profiles, error) {
	var file struct {
		Current  string                       `json:"current"`
		Profiles []map[string]json.RawMessage `json:"profiles"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return profiles{}, errors.New("it is not the JSON that `aliyun configure` writes")
	}
	names := make([]string, len(file.Profiles))
	all := make([]fields, len(file.Profiles))
	for i, raw := range file.Profiles {
		all[i] = newFields()
		for name, value := range raw {
			all[i].set(name, scalar(value))
		}
		names[i] = all[i].get("name")
	}
	return profiles{first(file.Current, "default"), func(name string) (fields, bool) {
		i := slices.Index(names, name)
		if i < 0 {
			return fields{}, false
		}
		return all[i], true
	}}, nil
}

// scalar is the text of a JSON string, number or boolean; of anything else, nothing.
func scalar(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return strings.TrimSpace(s)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || text == "null" || text[0] == '{' || text[0] == '[' {
		return ""
	}
	return text
}
