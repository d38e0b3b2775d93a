package credentials

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// place is one place of the chain: how it is filled, and with whose key.
type place struct {
	source string
	id     string
	fill   func(w *world, id string)
}

func iniKey(id string) string {
	return "[default]\naccess_key_id=" + id + "\naccess_key_secret=" + testSecret + "\n"
}

func variables(names ...string) func(*world, string) {
	return func(w *world, id string) {
		w.vars[names[0]], w.vars[names[1]], w.vars[names[2]] = id, testSecret, testToken
	}
}

func fileOf(name string, text func(id string) string) func(*world, string) {
	return func(w *world, id string) { w.file(name, text(id)) }
}

func tempKey(id string) string {
	return strings.Replace(tempAnswer("2999-01-01T00:00:00Z"), tempID, id, 1)
}

// places are all places, in the order in which they are tried.
func places() []place {
	passwd := func(id string) string { return "bucket:" + id + ":" + testSecret + "\n" }
	return []place{
		{NameEnv, "ALIBABA_CLOUD", variables("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN")},
		{NameEnv, "OSS", variables("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN")},
		{NameEnv, "ossfs-1", variables("OSSACCESSKEYID", "OSSSECRETACCESSKEY", "OSSSSESSIONTOKEN")},
		{NameOIDC, "AssumeRoleWithOIDC", func(w *world, _ string) {
			w.vars["ALIBABA_CLOUD_ROLE_ARN"], w.vars["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"] = "arn", "provider"
			w.vars["ALIBABA_CLOUD_OIDC_TOKEN_FILE"] = w.file("token", testToken)
		}},
		{NameAssumeRole, "AssumeRole", func(w *world, _ string) { w.vars["ALIBABA_CLOUD_ROLE_ARN"] = "arn" }},
		{NameOSS, "oss", fileOf(".oss/credentials", iniKey)},
		{NameShared, "alibabacloud", fileOf(".alibabacloud/credentials.ini", iniKey)},
		{NameShared, "aliyun", fileOf(".aliyun/credentials.ini", iniKey)},
		{NameCLI, "cli", fileOf(".aliyun/config.json", func(id string) string {
			return fmt.Sprintf(`{"current":"x","profiles":[{"name":"x","mode":"AK","access_key_id":%q,"access_key_secret":%q}]}`, id, testSecret)
		})},
		{NameOSSUtil, "ossutil", fileOf(".ossutilconfig", func(id string) string {
			return "[Credentials]\naccessKeyID=" + id + "\naccessKeySecret=" + testSecret + "\n"
		})},
		{NamePasswd, "passwd-home", fileOf(".passwd-ossfs", passwd)},
		{NamePasswd, "passwd-etc", fileOf("/etc/passwd-ossfs", passwd)},
		{NameProcess, "process", func(w *world, id string) { w.vars[envProcess] = w.script("keys.sh", "echo '"+tempKey(id)+"'") }},
		{NameURI, "uri", func(w *world, id string) { w.vars[envURI] = serve(w.t, answerWith(tempKey(id))) }},
		{NameECS, "ecs", func(w *world, id string) {
			w.metadata(serve(w.t, func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPut:
					fmt.Fprint(rw, "session")
				case r.URL.Path == metadataRoles:
					fmt.Fprint(rw, "role")
				default:
					fmt.Fprint(rw, tempKey(id))
				}
			}))
		}},
	}
}

// filled is a machine with all of these places filled. Its STS gives keys that are named like its actions,
// whatever the base key is.
func filled(t *testing.T, list []place) *world {
	w := newWorld(t)
	w.opt.Bucket = "bucket"
	w.opt.STSEndpoint = serve(t, func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, `{"Credentials":%s}`, tempKey(r.Header.Get("x-acs-action")))
	})
	for _, p := range slices.Backward(list) { // what comes first has the last word where two share a variable
		p.fill(w, p.id)
	}
	return w
}

func used(t *testing.T, w *world) (source, id string) {
	t.Helper()
	p := w.provider()
	c, err := p.Retrieve(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tried := p.Explain().Tried
	return tried[len(tried)-1].Name, c.ID
}

// With everything there the first is used; without it the second; and so on to the last.
func TestOrderOfTheChain(t *testing.T) {
	list := places()
	for i, want := range list {
		if source, id := used(t, filled(t, list[i:])); source != want.source || id != want.id {
			t.Errorf("with %d places empty: got %s of %s, want %s of %s", i, id, source, want.id, want.source)
		}
	}
	var names []string
	for _, p := range list {
		names = append(names, p.source)
	}
	if got := slices.Compact(names); !slices.Equal(got, Names()) {
		t.Errorf("the places are %v, and the names %v", got, Names())
	}
}

// Each source can be chosen by itself, whatever else is there, and nothing takes its place when it is empty.
func TestEachSourceAlone(t *testing.T) {
	list := places()
	for _, name := range Names() {
		i := slices.IndexFunc(list, func(p place) bool { return p.source == name })
		w := filled(t, list)
		if name == NameAssumeRole { // else the role belongs to OIDC
			delete(w.vars, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN")
		}
		w.opt.Only = name
		if source, id := used(t, w); source != name || id != list[i].id {
			t.Errorf("only %s: got %s of %s, want %s", name, id, source, list[i].id)
		}
		empty := filled(t, slices.DeleteFunc(places(), func(p place) bool { return p.source == name || name == NameAssumeRole && p.source == NameOIDC }))
		if name == NameOIDC {
			delete(empty.vars, "ALIBABA_CLOUD_OIDC_TOKEN_FILE")
		}
		empty.opt.Only = name
		if c, err := empty.provider().Retrieve(context.Background()); err == nil {
			t.Errorf("only %s, and it is empty: got %s", name, c.ID)
		}
	}
}

// Every kind of profile that the files know, in each file's words.
func TestKindsOfProfiles(t *testing.T) {
	cli := func(fields string) map[string]string {
		return map[string]string{".aliyun/config.json": `{"current":"p","profiles":[{"name":"p",` + fields + `}]}`}
	}
	ini := func(fields string) map[string]string {
		return map[string]string{".alibabacloud/credentials.ini": "[p]\nenable=true\n" + fields}
	}
	ak := func(format string) string { return fmt.Sprintf(format, testID, testSecret) }
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"cli AK", cli(ak(`"mode":"AK","access_key_id":%q,"access_key_secret":%q`)), key},
		{"cli StsToken", cli(ak(`"mode":"StsToken","access_key_id":%q,"access_key_secret":%q`) + `,"sts_token":"` + testToken + `"`), key + " " + testToken},
		{"cli RamRoleArn", cli(ak(`"mode":"RamRoleArn","access_key_id":%q,"access_key_secret":%q`) + `,"ram_role_arn":"arn"`), temp},
		{"cli EcsRamRole", cli(`"mode":"EcsRamRole","ram_role_name":"other"`), temp},
		{"cli OIDC", cli(`"mode":"OIDC","ram_role_arn":"arn","oidc_provider_arn":"p","oidc_token_file":"@TOKEN@"`), temp},
		{"cli CredentialsURI", cli(`"mode":"CredentialsURI","credentials_uri":"@URI@"`), temp},
		{"cli External", cli(`"mode":"External","process_command":"@PROCESS@"`), temp},
		{"ini access_key", ini(ak("type=access_key\naccess_key_id=%s\naccess_key_secret=%s\n")), key},
		{"ini sts_token", ini(ak("type=sts_token\naccess_key_id=%s\naccess_key_secret=%s\n") + "security_token=" + testToken + "\n"), key + " " + testToken},
		{"ini sts", ini(ak("type=sts\naccess_key_id=%s\naccess_key_secret=%s\n") + "security_token=" + testToken + "\n"), key + " " + testToken},
		{"ini ram_role_arn", ini(ak("type=ram_role_arn\naccess_key_id=%s\naccess_key_secret=%s\n") + "role_arn=arn\n"), temp},
		{"ini ecs_ram_role", ini("type=ecs_ram_role\nrole_name=other\n"), temp},
		{"ini oidc_role_arn", ini("type=oidc_role_arn\nrole_arn=arn\noidc_provider_arn=p\noidc_token_file_path=@TOKEN@\n"), temp},
		{"ini credentials_uri", ini("type=credentials_uri\ncredentials_uri=@URI@\n"), temp},
		{"oss file with a role", map[string]string{".oss/credentials": "[p]\n" + ak("access_key_id=%s\naccess_key_secret=%s\n") + "ram_role_arn=arn\n"}, temp},
		{"ossutil EcsRamRole", map[string]string{".ossutilconfig": "[p]\nmode=EcsRamRole\necsRoleName=other\n"}, temp},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			newSTS(w)
			w.metadata(serve(t, rolesOf("other")))
			services := strings.NewReplacer("@TOKEN@", w.file("token", testToken), "@PROCESS@", w.script("keys.sh", "echo '"+tempAnswer("2999-01-01T00:00:00Z")+"'"),
				"@URI@", serve(t, answerWith(tempAnswer("2999-01-01T00:00:00Z"))))
			for name, text := range c.files {
				w.file(name, services.Replace(text))
			}
			w.opt.Profile = "p"
			wantKey(t, w.provider(), c.want)
		})
	}
}

// rolesOf is a metadata service of an instance with one role.
func rolesOf(role string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			fmt.Fprint(w, "session")
		case r.Header.Get("X-aliyun-ecs-metadata-token") != "session":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == metadataRoles:
			fmt.Fprint(w, role)
		case r.URL.Path == metadataRoles+url.PathEscape(role):
			fmt.Fprint(w, tempAnswer("2999-01-01T00:00:00Z"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// ALIBABA_CLOUD_ECS_METADATA names the role, and ALIBABA_CLOUD_PROFILE the profile of both files.
func TestNamesInTheEnvironment(t *testing.T) {
	w := newWorld(t)
	w.metadata(serve(t, rolesOf("backup")))
	w.vars["ALIBABA_CLOUD_ECS_METADATA"] = "backup"
	wantKey(t, w.provider(), temp)
	w.vars["ALIBABA_CLOUD_ECS_METADATA"] = "another"
	if _, err := w.provider().Retrieve(context.Background()); err == nil || !strings.Contains(err.Error(), "no RAM role another") {
		t.Errorf("got %v, want that there is no such role", err)
	}

	w = newWorld(t)
	w.file(".alibabacloud/credentials.ini", iniKey("other")+strings.Replace(iniKey(testID), "default", "prod", 1))
	w.vars["ALIBABA_CLOUD_PROFILE"] = "prod"
	wantKey(t, w.provider(), key)
}

// ossfs 1.x's own ways to name the file and to write a key.
func TestPasswdAsOssfs1ReadIt(t *testing.T) {
	w := newWorld(t)
	w.opt.Bucket = "b"
	w.file(".passwd-ossfs", "other:other\n")
	w.vars["OSS_CREDENTIAL_FILE"] = w.file("elsewhere", "x:y\nOSSAccessKeyId="+testID+"\nb:a:c\nOSSSecretKey="+testSecret+"\n")
	wantKey(t, w.provider(), key)
	w.vars["OSS_CREDENTIAL_FILE"] = w.home + "/nothing"
	if _, err := w.provider().Retrieve(context.Background()); err == nil {
		t.Error("a file that was named and is not there: the next one was used")
	}
}
