package metrics

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

// A name with _total and the same name without are one family in OpenMetrics, which a scrape must not have twice.
func TestNoTwoNamesAreOneFamily(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("sources.go")
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(source), `counter("`) {
		name, _, found := strings.Cut(part, `_total"`)
		if found && !strings.ContainsAny(name, "\n \"") && strings.Contains(string(source), `gauge("`+name+`"`) {
			t.Errorf("there is a gauge %s beside the counter %[1]s_total", name)
		}
	}
	m := New("")
	m.Count("main", protocol.MethodSet, nil, time.Millisecond)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := &page{header: http.Header{}}
	m.HTTP().ServeHTTP(w, req)
	if text := w.String(); !strings.HasSuffix(text, "# EOF\n") || !strings.Contains(text, "# TYPE ticketd_requests counter") {
		t.Errorf("not OpenMetrics:\n%s", text)
	}
}

// page keeps an answer.
type page struct {
	strings.Builder

	header http.Header
}

func (p *page) Header() http.Header { return p.header }
func (*page) WriteHeader(int)       {}

// Prometheus on another host reads the metrics over TLS with a password, and no other client does; a configuration without
// either is rejected.
func TestTheMetricsOfAnotherHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir)
	// The password is "secret".
	users := "basic_auth_users:\n  prometheus: $2a$04$VXQ5vfsdNfv35Ac7DF8oPOFHMHKdaOSogDM5IXD9Sgrb/UFqO39.G\n"
	encrypted := "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"
	for text, remote := range map[string]bool{users + encrypted: true, users: false, encrypted: false, "": false} {
		file := filepath.Join(dir, "web.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckWeb(file, true); (err == nil) != remote {
			t.Errorf("%q for other hosts: %v", text, err)
		}
		if err := CheckWeb(file, false); err != nil {
			t.Errorf("%q for this host: %v", text, err)
		}
	}
	file := filepath.Join(dir, "remote.yml")
	if err := os.WriteFile(file, []byte(users+encrypted), 0o600); err != nil {
		t.Fatal(err)
	}
	address := serve(t, ServerOptions{WebConfig: file, Remote: true, Log: zerolog.Nop()})
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the test's own certificate
	}}
	for password, want := range map[string]int{"secret": http.StatusOK, "wrong": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("prometheus", password)
		if got, _ := answer(t, client, req); got != want {
			t.Errorf("with the password %q the answer is %d, want %d", password, got, want)
		}
	}
}

// The file takes effect without a reload: an endpoint that other hosts reach answers no request while the file has neither
// passwords nor client certificates, and answers again once the file is corrected.
func TestAMistakeOpensNoEndpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir)
	file := filepath.Join(dir, "web.yml")
	const encrypted = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
	addresses := make(map[bool]string)
	if err := os.WriteFile(file, []byte(encrypted+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, remote := range []bool{true, false} {
		addresses[remote] = serve(t, ServerOptions{WebConfig: file, Remote: remote, Log: zerolog.Nop()})
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}, // the test's own certificate
	}}
	for _, c := range []struct {
		text string
		code map[bool]int
	}{
		{encrypted + "}\nbasic_auth_users: {}\n", map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusOK}},
		{encrypted + ", client_auth_type: RequireAnyClientCert}\n",
			map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusOK}},
		{encrypted + ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: cert.pem}\n",
			map[bool]int{true: http.StatusOK, false: http.StatusOK}},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for remote, want := range c.code {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addresses[remote]+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, text := answer(t, client, req); got != want || got != http.StatusOK && strings.Contains(text, "ticketd_") {
				t.Errorf("%q, remote %v: %d, want %d", c.text, remote, got, want)
			}
		}
	}
}

// /healthz is for "is it alive", /readyz for "does it take changes", with the reason.
func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	var reason error
	address := serve(t, ServerOptions{Ready: func() error { return reason }, Log: zerolog.Nop()})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, c := range []struct {
		path, words string
		ready       error
		want        int
	}{
		{"/healthz", "ok", nil, http.StatusOK},
		{"/readyz", "ok", nil, http.StatusOK},
		{"/healthz", "ok", errors.New("no Redis"), http.StatusOK},
		{"/readyz", "no Redis", errors.New("no Redis"), http.StatusServiceUnavailable},
	} {
		reason = c.ready
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, text := answer(t, client, req); got != c.want || strings.TrimSpace(text) != c.words {
			t.Errorf("%s answers %d %q, want %d %q", c.path, got, text, c.want, c.words)
		}
	}
}

// serve serves metrics for the length of the test.
func serve(t *testing.T, o ServerOptions) (address string) {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(New(""), l, o)
	s.Start(t.Context())
	t.Cleanup(func() { _ = s.Stop(t.Context()) })
	return l.Addr().String()
}

func answer(t *testing.T, client *http.Client, req *http.Request) (code int, text string) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// certificate writes a certificate of its own and its key.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ticketd"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
