package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// tlsPlace is a second Redis, which speaks TLS on its port, and the daemons that use it.
type tlsPlace struct {
	redis             *testenv.Redis
	port              int
	certificate       string // of the server; clients trust it
	ticketd, journals *daemon
}

// overTLS starts the Redis with TLS and its daemons, once. The clients show no certificate, as with most services.
func (e *env) overTLS(ctx context.Context) (*tlsPlace, error) {
	if e.tls != nil {
		return e.tls, nil
	}
	dir, err := e.folder("redistls")
	if err != nil {
		return nil, err
	}
	own, err := newCertificate(dir)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	t := &tlsPlace{certificate: own.CA}
	t.redis, err = testenv.StartRedis(ctx, dir, testenv.RedisOptions{
		Password: e.password, Certificates: own,
		Config: []string{"tls-auth-clients no", "appendonly yes", "maxmemory-policy noeviction"},
	})
	if err != nil {
		return nil, err
	}
	e.ends = append(e.ends, t.redis.Stop)
	_, port, err := net.SplitHostPort(t.redis.Addr())
	if err != nil {
		return nil, err
	}
	if t.port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	trust := fmt.Sprintf("tls = true\ntls_ca = %q", own.CA)
	if t.ticketd, err = e.startDaemonWith(ctx, "tls", t.redis.Addr(), trust, ""); err != nil {
		return nil, err
	}
	if t.journals, err = e.startDaemonWith(ctx, "tlsearly", t.redis.Addr(), trust, early); err != nil {
		return nil, err
	}
	e.tls = t
	return t, nil
}

// places are the addresses for PHP.
func (t *tlsPlace) places(e *env) phpPlaces {
	return phpPlaces{
		redis: "tls://127.0.0.1", port: t.port, certificate: t.certificate, pids: []int{t.redis.PID()},
		daemons: map[string]*daemon{wayTicketd: t.ticketd, wayJournal: t.journals, wayAlone: e.alone},
	}
}

// newCertificate makes a certificate for 127.0.0.1 that signs itself.
func newCertificate(dir string) (*testenv.Certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	const valid = 24 * time.Hour
	text := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ticketd bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certFile, keyFile := filepath.Join(dir, "own.crt"), filepath.Join(dir, "own.key")
	return &testenv.Certificates{CA: certFile, ServerCert: certFile, ServerKey: keyFile}, errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	)
}
