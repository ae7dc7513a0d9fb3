package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// Certificates are the files of a CA and of two certificates signed by the CA: a server's for localhost and 127.0.0.1, and a
// client's.
type Certificates struct {
	CA                    string
	ServerCert, ServerKey string
	ClientCert, ClientKey string
}

// NewCertificates makes certificates for a test.
func NewCertificates(t testing.TB) *Certificates {
	t.Helper()
	dir := Folder(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	c := &Certificates{
		CA: at("ca.crt"), ServerCert: at("server.crt"), ServerKey: at("server.key"),
		ClientCert: at("client.crt"), ClientKey: at("client.key"),
	}
	ca := certificate("ticketd test CA", 1)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caKey := newKey(t)
	sign(t, ca, ca, caKey, caKey, c.CA, at("ca.key"))

	server := certificate("redis", 2)
	server.DNSNames, server.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	sign(t, server, ca, newKey(t), caKey, c.ServerCert, c.ServerKey)

	client := certificate("ticketd", 3)
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	sign(t, client, ca, newKey(t), caKey, c.ClientCert, c.ClientKey)
	return c
}

func certificate(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign writes a certificate signed with the CA's key, and the certificate's own key.
func sign(t testing.TB, c, ca *x509.Certificate, key, caKey *ecdsa.PrivateKey, certFile, keyFile string) {
	t.Helper()
	signed, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: signed}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := writeFile(path, string(pem.EncodeToMemory(block))); err != nil {
			t.Fatal(err)
		}
	}
}
