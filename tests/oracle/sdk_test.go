package oracle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/ossfs/ossfs/internal/ossserver"
	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

const bucket = ossservertest.Bucket

func newSDK(s *ossservertest.Server, version oss.SignatureVersionType, token string) *oss.Client {
	id, secret := ossservertest.KeyID, ossservertest.Secret
	if token != "" {
		id, secret = "STS.id", "sts-secret"
	}
	cfg := oss.LoadDefaultConfig().
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, secret, token)).
		WithRegion(ossservertest.Region).WithEndpoint(s.Endpoint).WithSignatureVersion(version).
		WithUsePathStyle(true).WithRetryMaxAttempts(1)
	return oss.NewClient(cfg)
}

func serverOptions() ossserver.Options {
	return ossserver.Options{Keys: []ossserver.Key{{ID: "STS.id", Secret: "sts-secret", Token: "token/with+signs="}}}
}

// each runs f against a server in memory and one on disk, signing in each way, with a permanent and an STS key.
func each(t *testing.T, f func(t *testing.T, s *ossservertest.Server, c *oss.Client)) {
	for _, dir := range []string{"", "disk"} {
		for name, version := range map[string]oss.SignatureVersionType{"V1": oss.SignatureVersionV1, "V4": oss.SignatureVersionV4} {
			for _, token := range []string{"", "token/with+signs="} {
				t.Run(fmt.Sprintf("%s%s,sts=%t", dir, name, token != ""), func(t *testing.T) {
					o := serverOptions()
					if dir != "" {
						o.Dir = t.TempDir()
					}
					s := ossservertest.NewTest(t, o)
					f(t, s, newSDK(s, version, token))
				})
			}
		}
	}
}

func random(n int) []byte {
	p := make([]byte, n)
	ossserver.SyntheticAt(p, rand.Uint64(), 0)
	return p
}

func TestPutGetHeadDelete(t *testing.T) {
	each(t, func(t *testing.T, s *ossservertest.Server, c *oss.Client) {
		ctx := context.Background()
		for _, key := range []string{"a", "dir/", "a b+c%20&=?#é世界/x//y", "..", "./.", "\x01", "-~._!*'();:@$,[]"} {
			body := random(300_000)
			put, err := c.PutObject(ctx, &oss.PutObjectRequest{
				Bucket: oss.Ptr(bucket), Key: oss.Ptr(key), Body: bytes.NewReader(body), Metadata: map[string]string{"mode": "33188", "mtime": "1.5"},
			})
			if err != nil {
				t.Fatalf("put %q: %v", key, err)
			}
			head, err := c.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr(key)})
			if err != nil {
				t.Fatalf("head %q: %v", key, err)
			}
			if head.ContentLength != int64(len(body)) || *head.ETag != *put.ETag || head.Metadata["mode"] != "33188" || *head.HashCRC64 != *put.HashCRC64 {
				t.Errorf("head %q = %+v, put was %+v", key, head, put)
			}
			get, err := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr(key), Range: oss.Ptr("bytes=5-99"), RangeBehavior: oss.Ptr("standard")})
			if err != nil {
				t.Fatalf("get %q: %v", key, err)
			}
			got, err := io.ReadAll(get.Body)
			get.Body.Close()
			if err != nil || !bytes.Equal(got, body[5:100]) || *get.ContentRange != "bytes 5-99/300000" {
				t.Errorf("get %q: %d bytes, %v, %v", key, len(got), err, get.Headers)
			}
			if _, err := c.GetObjectMeta(ctx, &oss.GetObjectMetaRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr(key)}); err != nil {
				t.Errorf("meta %q: %v", key, err)
			}
			if _, err := c.CopyObject(ctx, &oss.CopyObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr("copy" + key), SourceKey: oss.Ptr(key)}); err != nil {
				t.Errorf("copy %q: %v", key, err)
			}
			if _, err := c.DeleteObject(ctx, &oss.DeleteObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr("copy" + key)}); err != nil {
				t.Errorf("delete %q: %v", key, err)
			}
		}
		var names []oss.DeleteObject
		p := c.NewListObjectsV2Paginator(&oss.ListObjectsV2Request{Bucket: oss.Ptr(bucket), MaxKeys: 3})
		for p.HasNext() {
			page, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				names = append(names, oss.DeleteObject{Key: o.Key})
			}
		}
		if len(names) != 7 {
			t.Errorf("listed %v", names)
		}
		res, err := c.DeleteMultipleObjects(ctx, &oss.DeleteMultipleObjectsRequest{Bucket: oss.Ptr(bucket), Objects: names})
		if err != nil || len(res.DeletedObjects) != 7 {
			t.Errorf("delete many: %+v, %v", res, err)
		}
		if keys := s.Keys(bucket); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

func TestMultipart(t *testing.T) {
	each(t, func(t *testing.T, s *ossservertest.Server, c *oss.Client) {
		body := random(1_000_000)
		up := c.NewUploader(func(o *oss.UploaderOptions) { o.PartSize = 200_000; o.ParallelNum = 3 })
		if _, err := up.UploadFrom(context.Background(), &oss.PutObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr("big key")}, bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		o, _ := s.Object(bucket, "big key")
		got, err := o.Body()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("stored %d bytes, %v", len(got), err)
		}
	})
}

func TestPresigned(t *testing.T) {
	each(t, func(t *testing.T, s *ossservertest.Server, c *oss.Client) {
		if err := s.Put(bucket, "k/ü", []byte("hello"), nil); err != nil {
			t.Fatal(err)
		}
		for _, life := range []time.Duration{time.Hour, 10 * time.Minute} {
			u, err := c.Presign(context.Background(), &oss.GetObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr("k/ü")}, oss.PresignExpires(life))
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.Get(u.URL)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || string(got) != "hello" {
				t.Errorf("GET %s: %d %s", u.URL, res.StatusCode, got)
			}
			res, err = http.Get(strings.Replace(u.URL, "k/", "K/", 1))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 403 {
				t.Errorf("GET of another key with this signature: %d, want 403", res.StatusCode)
			}
		}
	})
}
