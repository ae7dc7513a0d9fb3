package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLSConfig reads the certificates; the result is nil without TLS.
func (r *Redis) TLSConfig() (*tls.Config, error) {
	if !r.TLS {
		return nil, nil //nolint:nilnil // nil means no TLS to go-redis
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.TLSServerName}
	var err error
	if config.RootCAs, err = r.authorities(); err != nil {
		return nil, err
	}
	if r.TLSCert != "" {
		pair, err := r.certificate()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// authorities reads redis.tls_ca; nil stands for the system's CAs.
func (r *Redis) authorities() (*x509.CertPool, error) {
	if r.TLSCA == "" {
		return nil, nil //nolint:nilnil // nil means the system's CAs to crypto/tls
	}
	text, err := os.ReadFile(r.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM form")
	}
	return pool, nil
}

// certificate reads redis.tls_cert and redis.tls_key; tls_key may be a systemd credential.
func (r *Redis) certificate() (tls.Certificate, error) {
	key, err := credential(r.TLSKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(r.TLSCert, key)
}

func (r *Redis) validateTLS(c *checks) {
	for _, k := range []struct{ key, value string }{
		{"redis.tls_ca", r.TLSCA}, {"redis.tls_cert", r.TLSCert}, {"redis.tls_key", r.TLSKey},
		{"redis.tls_server_name", r.TLSServerName},
	} {
		if k.value != "" && !r.TLS {
			c.failf(k.key, "has no effect without redis.tls = true")
		}
	}
	if !r.TLS {
		return
	}
	if strings.HasPrefix(r.Addr, "unix://") {
		c.failf("redis.tls", "has no effect over a Unix socket, which does not leave this host")
	}
	if _, err := r.authorities(); err != nil {
		c.failf("redis.tls_ca", "%v", err)
	}
	if r.TLSCert == "" && r.TLSKey == "" {
		return
	}
	if r.TLSCert == "" || r.TLSKey == "" {
		c.failf("redis.tls_cert", "and redis.tls_key belong together: give both or neither")
		return
	}
	if _, err := r.certificate(); err != nil {
		key := "redis.tls_cert"
		if _, readable := os.Stat(r.TLSCert); readable == nil {
			key = "redis.tls_key"
		}
		c.failf(key, "cannot be used: %v", err)
	}
}
