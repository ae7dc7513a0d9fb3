package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/schema"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/ticketd/ticketd/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// write runs the command with small binaries and returns its output folder.
func write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, arch := range []string{"amd64", "arm64"} {
		if err := os.WriteFile(filepath.Join(dir, arch), []byte("a program for "+arch), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out")
	err := run([]string{
		"-version", "1.2.3", "-created", "1700000000", "-revision", "0123abc", "-out", out,
		"-file", "usr/share/doc/ticketd/copyright=" + filepath.Join(dir, "amd64"),
		"amd64=" + filepath.Join(dir, "amd64"), "arm64=" + filepath.Join(dir, "arm64"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The layout is what the specification asks for: every document fits its schema, and every descriptor its blob.
func TestLayoutFitsTheSpecification(t *testing.T) {
	t.Parallel()
	out := write(t)
	for name, layout := range map[string]func(string) []byte{
		"oci": inFolder(t, filepath.Join(out, "oci")), "archive": inArchive(t, filepath.Join(out, "ticketd_1.2.3_amd64.oci.tar")),
	} {
		l := laid{t: t, name: name, read: layout, platforms: make(map[string]bool)}
		l.fits(schema.ValidatorMediaTypeLayoutHeader, layout(v1.ImageLayoutFile))
		text := layout(v1.ImageIndexFile)
		l.fits(schema.ValidatorMediaTypeImageIndex, text)
		l.index(text)
		want := map[string]int{"oci": 2, "archive": 1}[name]
		if len(l.platforms) != want || !l.platforms["amd64"] {
			t.Errorf("%s has images of %v, want %d", name, l.platforms, want)
		}
	}
}

// laid is a layout to check.
type laid struct {
	t         *testing.T
	name      string
	read      func(path string) []byte
	platforms map[string]bool
}

func (l *laid) fits(as schema.Validator, text []byte) {
	l.t.Helper()
	if err := as.Validate(bytes.NewReader(text)); err != nil {
		l.t.Errorf("%s: %s: %v\n%s", l.name, as, err, text)
	}
}

func (l *laid) blob(at v1.Descriptor) []byte {
	l.t.Helper()
	content := l.read(pathOf(at.Digest))
	if at.Digest != digest.FromBytes(content) || at.Size != int64(len(content)) {
		l.t.Errorf("%s: %v is not the blob of %d bytes", l.name, at, len(content))
	}
	return content
}

func (l *laid) index(text []byte) {
	var index v1.Index
	decode(l.t, text, &index)
	for _, at := range index.Manifests {
		content := l.blob(at)
		l.fits(schema.Validator(at.MediaType), content)
		if at.MediaType == v1.MediaTypeImageIndex {
			l.index(content)
			continue
		}
		var manifest v1.Manifest
		decode(l.t, content, &manifest)
		config := l.blob(manifest.Config)
		l.fits(schema.ValidatorMediaTypeImageConfig, config)
		var image v1.Image
		decode(l.t, config, &image)
		if plain := digest.FromBytes(unzip(l.t, l.blob(manifest.Layers[0]))); image.RootFS.DiffIDs[0] != plain {
			l.t.Errorf("%s: the layer is %s, the configuration has %v", l.name, plain, image.RootFS.DiffIDs)
		}
		if image.Config.User != "65532" || image.Architecture != at.Platform.Architecture {
			l.t.Errorf("%s: the image runs as %q on %s", l.name, image.Config.User, image.Architecture)
		}
		l.platforms[image.Architecture] = true
	}
}

// The same binaries make the same bytes, at any time and with any umask.
func TestTheSameBytesAgain(t *testing.T) {
	t.Parallel()
	one, two := write(t), write(t)
	for _, file := range []string{"oci/index.json", "ticketd_1.2.3_amd64.oci.tar", "ticketd_1.2.3_arm64.oci.tar"} {
		a, errA := os.ReadFile(filepath.Join(one, file))
		b, errB := os.ReadFile(filepath.Join(two, file))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from build to build (%v, %v)", file, errA, errB)
		}
	}
}

// Connections with TLS find the authorities of the pinned module.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	text, err := roots()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) || bytes.Count(text, []byte("BEGIN CERTIFICATE")) < 80 {
		t.Errorf("%d bytes of authorities", len(text))
	}
}

func inFolder(t *testing.T, dir string) func(string) []byte {
	t.Helper()
	return func(path string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
}

func inArchive(t *testing.T, file string) func(string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]byte)
	for archive := tar.NewReader(bytes.NewReader(text)); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	return func(path string) []byte { return found[path] }
}

func unzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
