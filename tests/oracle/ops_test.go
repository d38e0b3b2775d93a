package oracle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/ossfs/ossfs/internal/ossserver/ossservertest"
)

// serviceCode is the code of the service's refusal.
func serviceCode(err error) string {
	if e, ok := errors.AsType[*oss.ServiceError](err); ok {
		return e.Code
	}
	return ""
}

func TestBucketOperations(t *testing.T) {
	each(t, func(t *testing.T, _ *ossservertest.Server, c *oss.Client) {
		ctx := context.Background()
		name := oss.Ptr("another-bucket")
		if _, err := c.PutBucket(ctx, &oss.PutBucketRequest{
			Bucket: name, Acl: oss.BucketACLPublicRead,
			CreateBucketConfiguration: &oss.CreateBucketConfiguration{StorageClass: oss.StorageClassIA},
		}); err != nil {
			t.Fatal(err)
		}
		info, err := c.GetBucketInfo(ctx, &oss.GetBucketInfoRequest{Bucket: name})
		if err != nil || *info.BucketInfo.Name != *name || *info.BucketInfo.ACL != "public-read" || *info.BucketInfo.StorageClass != "IA" || *info.BucketInfo.Location != "oss-cn-hangzhou" {
			t.Errorf("info: %+v, %v", info, err)
		}
		location, err := c.GetBucketLocation(ctx, &oss.GetBucketLocationRequest{Bucket: name})
		if err != nil || *location.LocationConstraint != "oss-cn-hangzhou" {
			t.Errorf("location: %+v, %v", location, err)
		}
		if _, err := c.PutBucketAcl(ctx, &oss.PutBucketAclRequest{Bucket: name, Acl: oss.BucketACLPrivate}); err != nil {
			t.Error(err)
		}
		acl, err := c.GetBucketAcl(ctx, &oss.GetBucketAclRequest{Bucket: name})
		if err != nil || *acl.ACL != "private" {
			t.Errorf("ACL: %+v, %v", acl, err)
		}
		if _, err := c.PutBucketVersioning(ctx, &oss.PutBucketVersioningRequest{Bucket: name, VersioningConfiguration: &oss.VersioningConfiguration{Status: oss.VersionEnabled}}); err != nil {
			t.Error(err)
		}
		versioning, err := c.GetBucketVersioning(ctx, &oss.GetBucketVersioningRequest{Bucket: name})
		if err != nil || *versioning.VersionStatus != "Enabled" {
			t.Errorf("versioning: %+v, %v", versioning, err)
		}
		stat, err := c.GetBucketStat(ctx, &oss.GetBucketStatRequest{Bucket: name})
		if err != nil || stat.ObjectCount != 0 {
			t.Errorf("stat: %+v, %v", stat, err)
		}
		buckets, err := c.ListBuckets(ctx, &oss.ListBucketsRequest{})
		if err != nil || len(buckets.Buckets) != 2 || *buckets.Buckets[0].Name != *name {
			t.Errorf("buckets: %+v, %v", buckets, err)
		}
		regions, err := c.DescribeRegions(ctx, &oss.DescribeRegionsRequest{})
		if err != nil || len(regions.RegionInfoList.RegionInfos) != 1 {
			t.Errorf("regions: %+v, %v", regions, err)
		}
		if _, err := c.DeleteBucket(ctx, &oss.DeleteBucketRequest{Bucket: name}); err != nil {
			t.Error(err)
		}
		if ok, err := c.IsBucketExist(ctx, *name); ok || err != nil {
			t.Errorf("the deleted bucket exists: %t, %v", ok, err)
		}
		if _, err := c.GetBucketInfo(ctx, &oss.GetBucketInfoRequest{Bucket: name}); serviceCode(err) != "NoSuchBucket" {
			t.Errorf("info of the deleted bucket: %v", err)
		}
	})
}

func TestAppendLinksRestoreTagsACL(t *testing.T) {
	each(t, func(t *testing.T, s *ossservertest.Server, c *oss.Client) {
		ctx := context.Background()
		b := oss.Ptr(bucket)
		key := oss.Ptr("log é")
		file, err := c.AppendFile(ctx, bucket, *key)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{"one ", "two ", "three"} {
			if _, err := file.Write([]byte(piece)); err != nil {
				t.Fatal(err)
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if o, _ := s.Object(bucket, *key); o.Type != "Appendable" || o.Size != 13 {
			t.Errorf("appended: %+v", o)
		}
		if _, err := c.AppendObject(ctx, &oss.AppendObjectRequest{Bucket: b, Key: key, Position: oss.Ptr(int64(1)), Body: strings.NewReader("x")}); serviceCode(err) != "PositionNotEqualToLength" {
			t.Errorf("append elsewhere: %v", err)
		}
		if _, err := c.PutSymlink(ctx, &oss.PutSymlinkRequest{Bucket: b, Key: oss.Ptr("link"), Target: key}); err != nil {
			t.Error(err)
		}
		link, err := c.GetSymlink(ctx, &oss.GetSymlinkRequest{Bucket: b, Key: oss.Ptr("link")})
		if target, _ := url.PathUnescape(*link.Target); err != nil || target != *key { // the SDK does not decode it
			t.Errorf("link: %+v, %v", link, err)
		}
		if _, err := c.PutObjectAcl(ctx, &oss.PutObjectAclRequest{Bucket: b, Key: key, Acl: oss.ObjectACLPublicRead}); err != nil {
			t.Error(err)
		}
		acl, err := c.GetObjectAcl(ctx, &oss.GetObjectAclRequest{Bucket: b, Key: key})
		if err != nil || *acl.ACL != "public-read" {
			t.Errorf("ACL: %+v, %v", acl, err)
		}
		tags := &oss.Tagging{TagSet: &oss.TagSet{Tags: []oss.Tag{{Key: oss.Ptr("k"), Value: oss.Ptr("v + w")}}}}
		if _, err := c.PutObjectTagging(ctx, &oss.PutObjectTaggingRequest{Bucket: b, Key: key, Tagging: tags}); err != nil {
			t.Error(err)
		}
		got, err := c.GetObjectTagging(ctx, &oss.GetObjectTaggingRequest{Bucket: b, Key: key})
		if err != nil || len(got.Tags) != 1 || *got.Tags[0].Value != "v + w" {
			t.Errorf("tags: %+v, %v", got, err)
		}
		if _, err := c.DeleteObjectTagging(ctx, &oss.DeleteObjectTaggingRequest{Bucket: b, Key: key}); err != nil {
			t.Error(err)
		}
		cold := oss.Ptr("cold")
		if _, err := c.PutObject(ctx, &oss.PutObjectRequest{Bucket: b, Key: cold, StorageClass: oss.StorageClassColdArchive, Body: strings.NewReader("c")}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: b, Key: cold}); serviceCode(err) != "InvalidObjectState" {
			t.Errorf("read of an archived object: %v", err)
		}
		if _, err := c.RestoreObject(ctx, &oss.RestoreObjectRequest{Bucket: b, Key: cold, RestoreRequest: &oss.RestoreRequest{Days: 3}}); err != nil {
			t.Error(err)
		}
		if _, err := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: b, Key: cold}); err != nil {
			t.Error(err)
		}
		if _, err := c.CleanRestoredObject(ctx, &oss.CleanRestoredObjectRequest{Bucket: b, Key: cold}); err != nil {
			t.Error(err)
		}
		if ok, err := c.IsObjectExist(ctx, bucket, "absent"); ok || err != nil {
			t.Errorf("an absent object exists: %t, %v", ok, err)
		}
	})
}

func TestMultipartOperations(t *testing.T) {
	each(t, func(t *testing.T, s *ossservertest.Server, c *oss.Client) {
		ctx := context.Background()
		b, key := oss.Ptr(bucket), oss.Ptr("dir/a b é")
		body := random(350_000)
		if err := s.Put(bucket, "src é", body, nil); err != nil {
			t.Fatal(err)
		}
		up, err := c.InitiateMultipartUpload(ctx, &oss.InitiateMultipartUploadRequest{Bucket: b, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if *up.Key != *key {
			t.Errorf("initiated %q", *up.Key)
		}
		if _, err := c.UploadPart(ctx, &oss.UploadPartRequest{Bucket: b, Key: key, UploadId: up.UploadId, PartNumber: 1, Body: bytes.NewReader(body[:150_000])}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.UploadPartCopy(ctx, &oss.UploadPartCopyRequest{Bucket: b, Key: key, UploadId: up.UploadId, PartNumber: 2, SourceKey: oss.Ptr("src é"), Range: oss.Ptr("bytes=150000-349999")}); err != nil {
			t.Fatal(err)
		}
		uploads, err := c.ListMultipartUploads(ctx, &oss.ListMultipartUploadsRequest{Bucket: b})
		if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != *key {
			t.Errorf("uploads: %+v, %v", uploads, err)
		}
		parts, err := c.ListParts(ctx, &oss.ListPartsRequest{Bucket: b, Key: key, UploadId: up.UploadId})
		if err != nil || len(parts.Parts) != 2 || parts.Parts[1].Size != 200_000 {
			t.Fatalf("parts: %+v, %v", parts, err)
		}
		var list []oss.UploadPart
		for _, p := range parts.Parts {
			list = append(list, oss.UploadPart{PartNumber: p.PartNumber, ETag: p.ETag})
		}
		if _, err := c.CompleteMultipartUpload(ctx, &oss.CompleteMultipartUploadRequest{
			Bucket: b, Key: key, UploadId: up.UploadId, CompleteMultipartUpload: &oss.CompleteMultipartUpload{Parts: list},
		}); err != nil {
			t.Fatal(err)
		}
		res, err := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: b, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		up, err = c.InitiateMultipartUpload(ctx, &oss.InitiateMultipartUploadRequest{Bucket: b, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AbortMultipartUpload(ctx, &oss.AbortMultipartUploadRequest{Bucket: b, Key: key, UploadId: up.UploadId}); err != nil {
			t.Error(err)
		}
		if _, err := c.ListParts(ctx, &oss.ListPartsRequest{Bucket: b, Key: key, UploadId: up.UploadId}); serviceCode(err) != "NoSuchUpload" {
			t.Errorf("parts of an aborted upload: %v", err)
		}
		d := c.NewDownloader(func(o *oss.DownloaderOptions) { o.PartSize = 100_000; o.ParallelNum = 3 })
		if res, err := d.DownloadFile(ctx, &oss.GetObjectRequest{Bucket: b, Key: key}, t.TempDir()+"/f"); err != nil || res.Written != int64(len(body)) {
			t.Errorf("download: %+v, %v", res, err)
		}
		if _, err := c.NewCopier(func(o *oss.CopierOptions) {
			o.PartSize = 150_000
			o.MultipartCopyThreshold = 100_000
			o.DisableShallowCopy = true
		}).
			Copy(ctx, &oss.CopyObjectRequest{Bucket: b, Key: oss.Ptr("copied"), SourceKey: key}); err != nil {
			t.Errorf("multipart copy: %v", err)
		}
	})
}

func TestListingsAgree(t *testing.T) {
	each(t, func(t *testing.T, s *ossservertest.Server, c *oss.Client) {
		ctx := context.Background()
		keys := []string{"a", "b/", "b/x é", "b/y+z", "c%20d", "e\x01f", "g&<>\"'", "h/i/j"}
		for _, k := range keys {
			if err := s.Put(bucket, k, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		var v1, v2, prefixes []string
		for p := c.NewListObjectsPaginator(&oss.ListObjectsRequest{Bucket: oss.Ptr(bucket), MaxKeys: 2}); p.HasNext(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				v1 = append(v1, *o.Key)
			}
		}
		for p := c.NewListObjectsV2Paginator(&oss.ListObjectsV2Request{Bucket: oss.Ptr(bucket), MaxKeys: 3, Delimiter: oss.Ptr("/"), FetchOwner: true}); p.HasNext(); {
			page, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				v2 = append(v2, *o.Key)
			}
			for _, o := range page.CommonPrefixes {
				prefixes = append(prefixes, *o.Prefix)
			}
		}
		slices.Sort(keys)
		if !slices.Equal(v1, keys) {
			t.Errorf("V1 listed %q, want %q", v1, keys)
		}
		if want := []string{"a", "c%20d", "e\x01f", "g&<>\"'"}; !slices.Equal(v2, want) || !slices.Equal(prefixes, []string{"b/", "h/"}) {
			t.Errorf("V2 listed %q and %q, want %q", v2, prefixes, want)
		}
		versions, err := c.ListObjectVersions(ctx, &oss.ListObjectVersionsRequest{Bucket: oss.Ptr(bucket)})
		if err != nil || len(versions.ObjectVersions) != len(keys) {
			t.Errorf("versions: %+v, %v", versions, err)
		}
		if _, err := c.DeleteMultipleObjects(ctx, &oss.DeleteMultipleObjectsRequest{
			Bucket: oss.Ptr(bucket), Quiet: true, Objects: []oss.DeleteObject{{Key: oss.Ptr("e\x01f")}, {Key: oss.Ptr("g&<>\"'")}},
		}); err != nil {
			t.Errorf("quiet delete: %v", err)
		}
		if got := s.Keys(bucket); len(got) != len(keys)-2 {
			t.Errorf("left %q", got)
		}
	})
}

// TestVirtualHosts sends every name to the server, so that buckets are in the host names.
func TestVirtualHosts(t *testing.T) {
	s := ossservertest.NewTest(t, serverOptions())
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, "127.0.0.1:"+port)
	}}
	defer transport.CloseIdleConnections()
	for _, version := range []oss.SignatureVersionType{oss.SignatureVersionV1, oss.SignatureVersionV4} {
		for _, endpoint := range []string{"http://oss-cn-hangzhou.aliyuncs.com", "http://oss-cn-hangzhou-internal.aliyuncs.com", "http://cn-hangzhou.oss.aliyuncs.com"} {
			c := oss.NewClient(oss.LoadDefaultConfig().WithRegion(ossservertest.Region).WithEndpoint(endpoint).WithSignatureVersion(version).
				WithCredentialsProvider(credentials.NewStaticCredentialsProvider(ossservertest.KeyID, ossservertest.Secret)).
				WithHttpClient(&http.Client{Transport: transport}).WithRetryMaxAttempts(1))
			key := oss.Ptr("dir//é b+c")
			if _, err := c.PutObject(context.Background(), &oss.PutObjectRequest{Bucket: oss.Ptr(bucket), Key: key, Body: strings.NewReader("x")}); err != nil {
				t.Errorf("%s: %v", endpoint, err)
			}
			if _, err := c.HeadObject(context.Background(), &oss.HeadObjectRequest{Bucket: oss.Ptr(bucket), Key: key}); err != nil {
				t.Errorf("%s: %v", endpoint, err)
			}
			if _, err := c.ListBuckets(context.Background(), &oss.ListBucketsRequest{}); err != nil {
				t.Errorf("%s: %v", endpoint, err)
			}
		}
	}
	if got := s.Keys(bucket); !slices.Equal(got, []string{"dir//é b+c"}) {
		t.Errorf("keys %q", got)
	}
}

func TestSkewedClock(t *testing.T) {
	o := serverOptions()
	o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	s := ossservertest.NewTest(t, o)
	for _, version := range []oss.SignatureVersionType{oss.SignatureVersionV1, oss.SignatureVersionV4} {
		c := newSDK(s, version, "")
		_, err := c.ListObjectsV2(context.Background(), &oss.ListObjectsV2Request{Bucket: oss.Ptr(bucket)})
		if serviceCode(err) != "RequestTimeTooSkewed" {
			t.Errorf("%v: %v, want RequestTimeTooSkewed", version, err)
		}
	}
	// The SDK corrects its clock by the answer when it may try again.
	c := oss.NewClient(oss.LoadDefaultConfig().WithRegion(ossservertest.Region).WithEndpoint(s.Endpoint).WithUsePathStyle(true).WithRetryMaxAttempts(2).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(ossservertest.KeyID, ossservertest.Secret)))
	if _, err := c.ListObjectsV2(context.Background(), &oss.ListObjectsV2Request{Bucket: oss.Ptr(bucket)}); err != nil {
		t.Errorf("with a corrected clock: %v", err)
	}
}
