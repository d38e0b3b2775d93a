package ossclient

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"
)

const (
	dialTimeout      = 10 * time.Second
	keepAlive        = 15 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 55 * time.Second // OSS closes idle connections after a minute
	readBuffer       = 16 << 10
	writeBuffer      = 64 << 10
	maxHeaderBytes   = 64 << 10
)

// newTransport is a transport of HTTP/1.1 with room for every connection the limit allows. Large reads
// go past its read buffer straight into the reader's memory.
func newTransport(cfg Config) (*direct, error) {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            newDialer().dial,
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxIdleConns:           2 * cfg.MaxConns,
		MaxIdleConnsPerHost:    2 * cfg.MaxConns,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		ReadBufferSize:         readBuffer,
		WriteBufferSize:        writeBuffer,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	if cfg.CABundle != "" {
		pool, err := CertPool(cfg.CABundle)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &direct{Transport: t, idle: idleLinks{most: t.MaxIdleConnsPerHost}}, nil
}

// CertPool is the system's certificate authorities and those of a PEM file.
func CertPool(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("CA bundle: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without any: the file's have to do
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA bundle %s: no certificate in it", name)
	}
	return pool, nil
}
