package ossclient

import (
	"context"
	"errors"
	"strings"
	"time"
)

// locateTimeout bounds the one request of Open.
const locateTimeout = 10 * time.Second

// BucketInfo is what OSS says of a bucket.
type BucketInfo struct {
	Name             string
	Location         string // "oss-cn-hangzhou"
	Region           string // "cn-hangzhou"
	Created          time.Time
	StorageClass     string
	Redundancy       string // LRS or ZRS
	ExtranetEndpoint string
	IntranetEndpoint string
	ACL              string
	Versioning       string // Enabled, Suspended, or empty
	Owner            string
}

type infoDocument struct {
	Bucket struct {
		Name               string
		Location           string
		CreationDate       string
		StorageClass       string
		DataRedundancyType string
		ExtranetEndpoint   string
		IntranetEndpoint   string
		Versioning         string
		AccessControlList  struct{ Grant string }
		Owner              struct{ ID string }
	}
}

// Info asks for the bucket's description (GetBucketInfo). ErrNotExist: there is no such bucket.
func (b *Bucket) Info(ctx context.Context) (BucketInfo, error) {
	var doc infoDocument
	_, err := b.do(ctx, &request{op: opInfo, params: []param{{"bucketInfo", ""}}, accept: func(a *answer) error {
		doc = infoDocument{}
		return readDocument(a, "BucketInfo", &doc)
	}})
	if err != nil {
		return BucketInfo{}, err
	}
	d := doc.Bucket
	return BucketInfo{
		Name:             d.Name,
		Location:         d.Location,
		Region:           strings.TrimPrefix(d.Location, "oss-"),
		Created:          isoTime(d.CreationDate),
		StorageClass:     d.StorageClass,
		Redundancy:       d.DataRedundancyType,
		ExtranetEndpoint: d.ExtranetEndpoint,
		IntranetEndpoint: d.IntranetEndpoint,
		ACL:              d.AccessControlList.Grant,
		Versioning:       d.Versioning,
		Owner:            d.Owner.ID,
	}, nil
}

// locate asks where the bucket lies: at an endpoint of Alibaba's that every region has, with a signature for
// its region. A bucket of another region answers AccessDenied there and names its own endpoint, whoever asks;
// one of that region may answer AccessDenied to whoever may not ask, and lies there. Another endpoint (a
// custom domain, an address) is asked itself, with version 1, which needs no region; newer buckets refuse that
// (EC 0002-00000080).
func (b *Bucket) locate(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, locateTimeout, errors.New("the bucket's location was not told within 10s; give --region"))
	defer cancel()
	wanted := b.target
	general := strings.HasSuffix(hostname(wanted.host), ossDomain)
	b.signer = &signerV1{}
	if general {
		b.signer = &signerV4{region: anyRegion}
		if err := b.target.address(anyEndpoint, addressVirtual); err != nil {
			return configError(b.cfg, err)
		}
	}
	var location string
	_, err := b.do(ctx, &request{op: opLocation, params: []param{{"location", ""}}, accept: func(a *answer) error {
		return readDocument(a, "LocationConstraint", &location)
	}})
	b.target = wanted
	var e *Error
	switch {
	case errors.As(err, &e) && e.elsewhere != "":
		location = regionOf(e.elsewhere)
	case general && e != nil && e.Code == "AccessDenied":
		location = anyRegion
	case err != nil:
		return err
	}
	region := strings.TrimPrefix(strings.TrimSpace(location), "oss-")
	if region == "" || !validRegion(region) {
		return configError(b.cfg, errors.New("the bucket's location is not a region's name; give --region"))
	}
	b.target.region = region
	if b.cfg.Endpoint == "" {
		return b.target.address(endpointOf(b.cfg, region), b.cfg.Addressing)
	}
	return nil
}
