package credentials

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// named is a source with the name by which it is selected.
type named struct {
	name   string
	source Source
}

// AnyRole, as [Options.RAMRole], is whichever role the instance has.
const AnyRole = "auto"

// Chain makes the provider that the options describe. It asks nobody: the first Retrieve does. Its
// errors are contradictions between the options.
func Chain(o Options) (*Provider, error) {
	chosen := 0
	for _, on := range []bool{o.Profile != "", o.RAMRole != "", o.Anonymous} {
		if on {
			chosen++
		}
	}
	if chosen > 1 {
		return nil, errors.New("a profile, a RAM role and anonymous access exclude each other: give one")
	}
	k := newKit(o)
	var list []named
	switch {
	case o.Anonymous:
		return &Provider{anonymous: true, log: k.log}, nil
	case o.RAMRole != "":
		name := o.RAMRole[strings.LastIndexByte(o.RAMRole, '/')+1:] // ossfs 1.x took the metadata service's URL
		if name == AnyRole {
			name = ""
		}
		list = []named{{NameECS, k.instance(name, true)}}
	case o.Profile != "":
		list = k.profiles(o.Profile)
	default:
		list = k.all(o)
	}
	if o.Only != "" {
		list = slices.DeleteFunc(list, func(n named) bool { return n.name != o.Only })
		if len(list) == 0 {
			return nil, fmt.Errorf("no source of credentials is called %q here; there are %s", o.Only, strings.Join(Names(), ", "))
		}
	}
	return newProvider(list, o.Bucket, k.log), nil
}

// New makes a provider of one source, which it keeps fresh.
func New(source Source, o Options) *Provider {
	return newProvider([]named{{"", source}}, o.Bucket, newKit(o).log)
}

// Names lists what [Options.Only] may be, in the order of the chain.
func Names() []string {
	return []string{NameEnv, NameOIDC, NameAssumeRole, NameOSS, NameShared, NameCLI, NameOSSUtil, NamePasswd, NameProcess, NameURI, NameECS}
}

// all is the default chain.
func (k *kit) all(o Options) []named {
	env := newEnvironment(k.env)
	rest := []named{
		{NameOSS, k.ossFile("")},
		{NameShared, k.sharedFile("")},
		{NameCLI, k.cliFile("")},
		{NameOSSUtil, k.ossutilFile("")},
	}
	for _, file := range k.passwdFiles(o.PasswdFile) {
		rest = append(rest, named{NamePasswd, file})
	}
	rest = append(rest,
		named{NameProcess, namedProcess{k, hide(o.Process)}},
		named{NameURI, envURISource{k}},
		named{NameECS, envInstance{k}},
	)
	bases := []Source{env}
	for _, n := range rest {
		bases = append(bases, n.source)
	}
	key := named{NameEnv, bareKey{env, k}}
	if o.Only == NameEnv {
		key.source = env // chosen by itself, it is the key and not the base of a role
	}
	return append([]named{key, {NameOIDC, envOIDC{k}}, {NameAssumeRole, envAssumed{k, bases}}}, rest...)
}

// profiles are the files that know profiles.
func (k *kit) profiles(name string) []named {
	return []named{
		{NameOSS, k.ossFile(name)},
		{NameShared, k.sharedFile(name)},
		{NameCLI, k.cliFile(name)},
		{NameOSSUtil, k.ossutilFile(name)},
	}
}
