package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ossfs/ossfs/ossclient"
)

const maxAnswer = 64 << 10 // bytes of a service's or a command's answer

// parseAnswer reads temporary credentials as services and commands print them. The names are those of
// STS and of the metadata service (AccessKeyId, AccessKeySecret, SecurityToken, Expiration, Code) or
// those of the CLI (access_key_id, access_key_secret, sts_token, expiration), at the top or in an
// object Credentials. Its errors quote nothing of the answer but its Code.
func parseAnswer(data []byte) (ossclient.Credential, error) {
	none := ossclient.Credential{}
	f, err := jsonFields(data)
	if err != nil {
		return none, err
	}
	if code := f.get("Code"); code != "" && code != "Success" && f.get("AccessKeyId") == "" {
		return none, fmt.Errorf("the answer says %s", oneLine(code, 80))
	}
	c := ossclient.Credential{
		ID:     f.get("AccessKeyId"),
		Secret: f.get("AccessKeySecret"),
		Token:  f.get("SecurityToken", "sts_token", "session_token"),
	}
	if c.Expires, err = parseTime(f.get("Expiration", "expires", "sts_expiration")); err != nil {
		return none, err
	}
	return c, check(c)
}

// jsonFields flattens an object, and the object Credentials in it.
func jsonFields(data []byte) (fields, error) {
	var top map[string]json.RawMessage
	if json.Unmarshal(data, &top) != nil {
		return fields{}, errors.New("the answer is not a JSON object")
	}
	f := newFields()
	var inner map[string]json.RawMessage
	for name, raw := range top {
		if fieldName(name) == "credentials" && json.Unmarshal(raw, &inner) == nil {
			for name, raw := range inner {
				f.set(name, scalar(raw))
			}
		}
	}
	for name, raw := range top {
		if value := scalar(raw); value != "" && f.get(name) == "" {
			f.set(name, value)
		}
	}
	return f, nil
}

// parseTime reads a time as any of the tools writes it: RFC 3339, or seconds or milliseconds since 1970.
// An empty text is the zero time, which means never.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		switch {
		case n == 0:
			return time.Time{}, nil
		case n > 1e11 && n < 1e14:
			return time.UnixMilli(n), nil
		case n <= 1e11:
			return time.Unix(n, 0), nil
		}
		return time.Time{}, errors.New("the expiration is not a time")
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("the expiration is not a time")
}
