package ossclient_test

import (
	"context"

	"github.com/ossfs/ossfs/ossclient"
)

// fixed is a credential that never changes.
type fixed struct{ c ossclient.Credential }

func (f fixed) Retrieve(context.Context) (ossclient.Credential, error) { return f.c, nil }
