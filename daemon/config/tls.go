package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/regular"
)

// tlsKeys are a section's keys for TLS.
type tlsKeys struct {
	section              string // with a dot
	on                   bool
	ca, cert, key, named string
}

func (r *Redis) tls() *tlsKeys {
	return &tlsKeys{"redis.", r.TLS, r.TLSCA, r.TLSCert, r.TLSKey, r.TLSServerName}
}

func (s *Site) tls(section string) *tlsKeys {
	return &tlsKeys{section, s.TLS, s.TLSCA, s.TLSCert, s.TLSKey, s.TLSServerName}
}

// TLSConfig reads the certificates; the result is nil without TLS.
func (r *Redis) TLSConfig() (*tls.Config, error) { return r.tls().config() }

// TLSConfig reads the certificates; the result is nil without TLS, or with TLS by the DSN alone.
func (s *Site) TLSConfig() (*tls.Config, error) { return s.tls("").config() }

// TLSConfig reads the certificates; the result is nil without TLS, or with TLS by the system's CAs alone.
func (d *Destination) TLSConfig() (*tls.Config, error) { return d.tls("").config() }

func (k *tlsKeys) config() (*tls.Config, error) {
	if !k.on {
		return nil, nil //nolint:nilnil // nil means no TLS to the clients
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: k.named}
	var err error
	if config.RootCAs, err = k.authorities(); err != nil {
		return nil, err
	}
	if k.cert != "" {
		pair, err := k.certificate()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// authorities reads tls_ca; nil stands for the system's CAs.
func (k *tlsKeys) authorities() (*x509.CertPool, error) {
	if k.ca == "" {
		return nil, nil //nolint:nilnil // nil means the system's CAs to crypto/tls
	}
	text, err := regular.Read(k.ca, maxFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no certificate in PEM form")
	}
	return pool, nil
}

// certificate reads tls_cert and tls_key; tls_key may be a systemd credential.
func (k *tlsKeys) certificate() (tls.Certificate, error) {
	key, err := credential(k.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(k.cert, key)
}

func (r *Redis) validateTLS(c *checks) {
	r.tls().validate(c)
	if r.TLS && strings.HasPrefix(r.Addr, "unix://") {
		c.failf("redis.tls", "has no effect over a Unix socket, which does not leave this host")
	}
}

func (s *Site) validateTLS(c *checks, section string) {
	s.tls(section).validate(c)
	dsn, err := driver.ParseDSN(s.DSN.Reveal())
	if !s.TLS || err != nil {
		return
	}
	if dsn.Net == "unix" {
		c.failf(section+"tls", "has no effect over a Unix socket, which does not leave this host")
	}
	if dsn.TLSConfig != "" {
		c.failf(section+"tls", "and ?tls= in the dsn exclude each other: remove ?tls= from the dsn")
	}
}

func (k *tlsKeys) validate(c *checks) {
	for _, of := range []struct{ key, value string }{
		{"tls_ca", k.ca}, {"tls_cert", k.cert}, {"tls_key", k.key}, {"tls_server_name", k.named},
	} {
		if of.value != "" && !k.on {
			c.failf(k.section+of.key, "has no effect without %stls = true", k.section)
		}
	}
	if !k.on {
		return
	}
	if _, err := k.authorities(); err != nil {
		c.failf(k.section+"tls_ca", "%v", err)
	}
	if k.cert == "" && k.key == "" {
		return
	}
	if k.cert == "" || k.key == "" {
		c.failf(k.section+"tls_cert", "and %stls_key belong together: give both or neither", k.section)
		return
	}
	if _, err := k.certificate(); err != nil {
		key := "tls_cert"
		if _, readable := os.Stat(k.cert); readable == nil {
			key = "tls_key"
		}
		c.failf(k.section+key, "cannot be used: %v", err)
	}
}

// Exposed returns whether the site's password crosses a network without TLS: whoever is on the way can read it, or ask for it
// in MySQL's place.
func (s *Site) Exposed() bool {
	dsn, err := driver.ParseDSN(s.DSN.Reveal())
	if err != nil || dsn.Net != "tcp" || s.TLS || dsn.TLSConfig != "" && dsn.TLSConfig != "false" {
		return false
	}
	host, _, err := net.SplitHostPort(dsn.Addr)
	return err == nil && host != "localhost" && !net.ParseIP(host).IsLoopback()
}
