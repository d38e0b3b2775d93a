package ossclient

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// The values of Config.Addressing.
const (
	addressAuto    = "auto"
	addressVirtual = "virtual"
	addressPath    = "path"
	addressCNAME   = "cname"
)

const ossDomain = ".aliyuncs.com"

// anyEndpoint answers where a bucket lies when nothing else is known: each region's endpoint does
// (https://help.aliyun.com/en/oss/developer-reference/getbucketlocation).
const (
	anyRegion   = "cn-hangzhou"
	anyEndpoint = "oss-" + anyRegion + ossDomain
)

// target is where requests go. It never changes once a Bucket is open.
type target struct {
	scheme string
	host   string // with the port when one was given, and with the bucket in the virtual-host style
	prefix string // "/" + bucket in the path style, else empty
	region string // empty: unknown
	bucket string
}

// resolve makes a target of the configuration alone.
func resolve(cfg Config) (target, error) {
	if err := checkBucketName(cfg.Bucket); err != nil {
		return target{}, err
	}
	if _, err := signVersion(cfg.Sign); err != nil {
		return target{}, err
	}
	scheme, host, err := splitEndpoint(cfg.Endpoint)
	if err != nil {
		return target{}, err
	}
	region := cfg.Region
	if region == "" {
		region = regionOf(host)
	}
	region = strings.TrimPrefix(region, "oss-")
	if !validRegion(region) {
		return target{}, fmt.Errorf("region %q: want a name such as cn-hangzhou", region)
	}
	if host == "" {
		host = endpointOf(cfg, region)
	}
	t := target{scheme: scheme, region: region, bucket: cfg.Bucket}
	return t, t.address(host, cfg.Addressing)
}

// splitEndpoint takes "[scheme://]host[:port][/]" apart.
func splitEndpoint(endpoint string) (scheme, host string, err error) {
	if endpoint == "" {
		return "https", "", nil
	}
	raw := endpoint
	if !strings.Contains(raw, "://") {
		if ip, err := netip.ParseAddr(raw); err == nil && ip.Is6() {
			raw = "[" + raw + "]" // an IPv6 address written bare
		}
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", fmt.Errorf("endpoint %q: want [http://]host[:port]", endpoint)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", "", fmt.Errorf("endpoint %q: scheme %q is neither http nor https", endpoint, u.Scheme)
	case u.User != nil:
		return "", "", errors.New("endpoint: it must not hold a user or password")
	case u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", "", fmt.Errorf("endpoint %q: want [http://]host[:port] and nothing more", endpoint)
	}
	return u.Scheme, strings.ToLower(u.Host), nil
}

// endpointOf makes the host from the region and the switches
// (https://help.aliyun.com/en/oss/user-guide/regions-and-endpoints).
func endpointOf(cfg Config, region string) string {
	switch {
	case cfg.Accelerate:
		return "oss-accelerate" + ossDomain
	case region == "":
		return anyEndpoint
	case cfg.Dualstack:
		return region + ".oss" + ossDomain
	case cfg.Internal:
		return "oss-" + region + "-internal" + ossDomain
	}
	return "oss-" + region + ossDomain
}

// regionOf reads the region from one of Alibaba's endpoint names; empty when the name has none.
func regionOf(host string) string {
	name, ok := strings.CutSuffix(hostname(host), ossDomain)
	if !ok {
		return ""
	}
	if region, ok := strings.CutSuffix(name, ".oss"); ok { // dual-stack
		return lastLabel(region)
	}
	region, ok := strings.CutPrefix(lastLabel(name), "oss-")
	if !ok || strings.HasPrefix(region, "accelerate") {
		return ""
	}
	return strings.TrimSuffix(region, "-internal")
}

func lastLabel(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// hostname is host without its port and brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

// address completes the target with a host and the style in which the bucket is named.
func (t *target) address(host, style string) error {
	name := hostname(host)
	_, err := netip.ParseAddr(name)
	isIP := err == nil
	switch style {
	case addressAuto:
		style = addressVirtual
		if isIP || name == "localhost" {
			style = addressPath
		}
	case addressVirtual:
		if isIP {
			return fmt.Errorf("addressing virtual: the endpoint %s is an IP address, which cannot carry the bucket's name; use path", host)
		}
	case addressPath, addressCNAME:
	default:
		return fmt.Errorf("addressing %q: want auto, virtual, path or cname", style)
	}
	t.host, t.prefix = host, ""
	switch {
	case style == addressPath:
		t.prefix = "/" + t.bucket
	case style == addressVirtual:
		rest, named := strings.CutPrefix(host, t.bucket+".")
		if !named || !isEndpoint(hostname(rest)) {
			t.host = t.bucket + "." + host
		}
	}
	return nil
}

// isEndpoint reports whether a name is one of Alibaba's, without a bucket: oss-REGION, or REGION.oss.
func isEndpoint(name string) bool {
	name, ok := strings.CutSuffix(name, ossDomain)
	region, dualstack := strings.CutSuffix(name, ".oss")
	return ok && !strings.Contains(region, ".") && (dualstack || strings.HasPrefix(name, "oss-"))
}

// checkBucketName keeps nonsense out of host names; OSS itself knows the rest
// (https://help.aliyun.com/en/oss/user-guide/bucket-naming-conventions).
func checkBucketName(name string) error {
	if len(name) < 3 || len(name) > 63 {
		return fmt.Errorf("bucket %q: a name has 3 to 63 characters", name)
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && i > 0 && i < len(name)-1) {
			return fmt.Errorf("bucket %q: a name has only a-z, 0-9 and -, and begins and ends with a letter or digit", name)
		}
	}
	return nil
}

func validRegion(region string) bool {
	for i := 0; i < len(region); i++ {
		c := region[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return len(region) < 64
}
