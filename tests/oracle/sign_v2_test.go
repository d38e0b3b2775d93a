package oracle

import (
	"net/http"
	"testing"

	old "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
)

// captured is a transport that answers each request by itself.
type captured struct{ authorization string }

func (c *captured) RoundTrip(req *http.Request) (*http.Response, error) {
	c.authorization = req.Header.Get("Authorization")
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// signedV2 is the Authorization that the first Go SDK makes of a request.
func signedV2(t *testing.T, req *http.Request, cred credentials.Credentials, bucket, key string) string {
	t.Helper()
	seen := &captured{}
	options := []old.ClientOption{old.AuthVersion(old.AuthV2), old.HTTPClient(&http.Client{Transport: seen})}
	if cred.SecurityToken != "" {
		options = append(options, old.SecurityToken(cred.SecurityToken))
	}
	client, err := old.New("http://127.0.0.1:1", cred.AccessKeyID, cred.AccessKeySecret, options...)
	if err != nil {
		t.Fatal(err)
	}
	params := map[string]any{}
	for name, values := range req.URL.Query() {
		params[name] = values[0]
	}
	headers := map[string]string{}
	for name, values := range req.Header {
		headers[name] = values[0]
	}
	resp, err := client.Conn.Do(req.Method, bucket, key, params, headers, nil, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return seen.authorization
}
