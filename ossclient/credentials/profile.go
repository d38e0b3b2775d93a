package credentials

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const maxChain = 8 // profiles that name each other

// profileOf is a profile on its way to become a source.
type profileOf struct {
	where  string // the file
	name   string
	fields fields
	find   func(name string) (fields, bool) // the profiles beside it
	depth  int
}

func (p profileOf) String() string { return fmt.Sprintf("profile %q of %s", p.name, p.where) }

// source makes what a profile describes. The words for the kinds of profiles differ between the
// formats and do not contradict each other, so all formats know all of them.
func (k *kit) source(p profileOf) (Source, error) {
	if enable := strings.ToLower(p.fields.get("enable")); enable == "false" || enable == "0" || enable == "no" {
		return nil, absent("%s is not enabled", p)
	}
	switch mode := fieldName(p.mode()); mode {
	case "ak", "accesskey":
		return k.staticProfile(p, false)
	case "sts", "ststoken":
		return k.staticProfile(p, true)
	case "oauth", "cloudsso":
		return k.signedIn(p)
	case "ramrolearn":
		return k.roleProfile(p)
	case "chainableramrolearn":
		return k.chained(p)
	case "anonymous":
		return nil, unusable("%s is for anonymous access; use --anonymous if that is meant", p)
	case "ramrolearnwithrolename":
		return k.assume(p, k.instance(p.fields.get("ram_role_name", "role_name", "ecs_role_name"), true))
	case "ecsramrole":
		return k.instance(p.fields.get("ram_role_name", "role_name", "ecs_role_name"), true), nil
	case "oidc", "oidcrolearn":
		return k.oidcProfile(p)
	case "credentialsuri", "uri":
		uri := p.fields.get("credentials_uri", "uri", "url")
		if uri == "" {
			return nil, unusable("%s names no credentials_uri", p)
		}
		if k.noExternal() {
			return nil, unusable("%s is set", envNoExternal)
		}
		return k.uri(uri), nil
	case "external", "process", "credentialprocess":
		return k.process(p.fields.get("process_command", "credential_process", "command"))
	default:
		return nil, unusable("%s is of the kind %q, which ossfs does not know", p, oneLine(mode, 40))
	}
}

// mode is the kind a profile says it is, or what its fields make it.
func (p profileOf) mode() string {
	f := p.fields
	if mode := f.get("mode", "type"); mode != "" {
		return mode
	}
	switch {
	case f.get("source_profile") != "" && f.get("ram_role_arn", "role_arn") != "":
		return "ChainableRamRoleArn"
	case f.get("oidc_provider_arn") != "":
		return "OIDC"
	case f.get("access_key_id", "oss_access_key_id") != "" && f.get("ram_role_arn", "role_arn") != "":
		return "RamRoleArn"
	case f.get("process_command", "credential_process") != "":
		return "External"
	case f.get("credentials_uri") != "":
		return "CredentialsURI"
	case f.get("ram_role_name", "role_name", "ecs_role_name") != "":
		return "EcsRamRole"
	default:
		return "AK"
	}
}

// key is the key written in a profile, in the spelling of each format.
func (p profileOf) key() ossclient.Credential {
	f := p.fields
	return ossclient.Credential{
		ID:     f.get("access_key_id", "oss_access_key_id"),
		Secret: f.get("access_key_secret", "oss_access_key_secret", "oss_secret_access_key", "secret_access_key"),
		Token:  f.get("sts_token", "security_token", "session_token", "oss_session_token"),
	}
}

func (k *kit) staticProfile(p profileOf, temporary bool) (Source, error) {
	c := p.key()
	if c.ID == "" && c.Secret == "" {
		return nil, absent("%s has no access key", p)
	}
	if temporary && c.Token == "" {
		return nil, unusable("%s says it is temporary and has no sts_token", p)
	}
	s, err := newStatic(p.String(), c)
	if err != nil {
		return nil, unusable("%s: %v", p, err)
	}
	return s, nil
}

// signedIn uses what `aliyun` left behind of a sign-in in a browser, while it lasts.
func (k *kit) signedIn(p profileOf) (Source, error) {
	c := p.key()
	expires, err := parseTime(p.fields.get("sts_expiration"))
	cure := fmt.Sprintf("run `aliyun sts GetCallerIdentity --profile %s` to sign in anew", p.name)
	switch {
	case c.ID == "" || c.Token == "" || err != nil || expires.IsZero():
		return nil, unusable("%s signs in with a browser and has no temporary key stored; %s", p, cure)
	case !time.Now().Before(expires):
		return nil, unusable("%s: its temporary key expired at %s; %s", p, expires.UTC().Format(time.RFC3339), cure)
	}
	c.Expires = expires
	s, err := newStatic(p.String(), c)
	if err != nil {
		return nil, unusable("%s: %v", p, err)
	}
	return s, nil
}

func (k *kit) roleProfile(p profileOf) (Source, error) {
	if name := p.fields.get("source_profile"); name != "" && p.key().ID == "" {
		return k.chained(p)
	}
	base, err := k.staticProfile(p, false)
	if err != nil {
		return nil, err
	}
	return k.assume(p, base)
}

// chained assumes a role with what another profile of the file gives.
func (k *kit) chained(p profileOf) (Source, error) {
	name := p.fields.get("source_profile")
	f, ok := p.find(name)
	switch {
	case !ok:
		return nil, unusable("%s builds on profile %q, which is not there", p, name)
	case p.depth >= maxChain:
		return nil, unusable("%s builds on profiles that build on each other", p)
	}
	base, err := k.source(profileOf{where: p.where, name: name, fields: f, find: p.find, depth: p.depth + 1})
	if err != nil {
		return nil, err
	}
	return k.assume(p, base)
}

func (p profileOf) stsPlace() stsPlace {
	f := p.fields
	vpc, _ := strconv.ParseBool(f.get("enable_vpc"))
	return stsPlace{endpoint: f.get("sts_endpoint"), region: f.get("sts_region"), vpc: vpc}
}

// role is what a profile says of the role it assumes.
func (p profileOf) role() role {
	f := p.fields
	seconds, _ := strconv.Atoi(f.get("expired_seconds", "duration_seconds", "session_expiration", "token_timeout"))
	return role{
		arn:      f.get("ram_role_arn", "role_arn"),
		session:  f.get("ram_session_name", "role_session_name"),
		external: f.get("external_id"),
		policy:   f.get("policy"),
		lifetime: time.Duration(seconds) * time.Second,
	}
}

func (k *kit) assume(p profileOf, base Source) (Source, error) {
	r := p.role()
	if r.arn == "" {
		return nil, unusable("%s names no role (ram_role_arn)", p)
	}
	return assumedRole{base, r, k.stsFor(p.stsPlace())}, nil
}

func (k *kit) oidcProfile(p profileOf) (Source, error) {
	f := p.fields
	o := oidcRole{role: p.role(), provider: f.get("oidc_provider_arn"), tokenFile: f.get("oidc_token_file", "oidc_token_file_path"), sts: k.stsFor(p.stsPlace())}
	if o.role.arn == "" || o.provider == "" || o.tokenFile == "" {
		return nil, unusable("%s needs ram_role_arn, oidc_provider_arn and oidc_token_file", p)
	}
	return o, nil
}
