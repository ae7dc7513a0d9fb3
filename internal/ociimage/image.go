package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// The image's users. The daemon has a user of its own, and is a member of the group of PHP-FPM, to which it gives the socket:
// www-data is 33 in Debian's images and 82 in Alpine's.
const (
	daemonID = 65532
	webGroup = "33"

	passwd = "root:x:0:0:root:/:/sbin/nologin\nwww-data:x:33:33:www-data:/:/sbin/nologin\n" +
		"ticketd:x:65532:65532:ticketd:/var/lib/ticketd:/sbin/nologin\n"
	groups = "root:x:0:\nwww-data:x:33:ticketd\nwww-data-alpine:x:82:ticketd\nticketd:x:65532:\n"
)

// The folders of the volumes, with the modes of the packages' tmpfiles.
var volumes = []entry{
	{path: "run/ticketd", mode: 0o755, owner: daemonID},
	{path: "var/lib/ticketd", mode: 0o700, owner: daemonID},
	{path: "var/spool/ticketd", mode: 0o711, owner: daemonID},
}

// builder makes images of one version.
type builder struct {
	version, revision string
	created           time.Time
	extra             []entry
}

// image is the image of an architecture.
type image struct {
	arch            string
	layer, config   []byte
	manifest        []byte
	layerAt, confAt v1.Descriptor
	at              v1.Descriptor
}

func (b *builder) build(arch string, binary []byte) (image, error) {
	files, err := b.files(binary)
	if err != nil {
		return image{}, err
	}
	plain, err := pack(files, b.created)
	if err != nil {
		return image{}, err
	}
	one := image{arch: arch}
	if one.layer, err = compress(plain); err != nil {
		return image{}, err
	}
	one.layerAt = describe(v1.MediaTypeImageLayerGzip, one.layer)
	if one.config, err = json.Marshal(b.config(arch, digest.FromBytes(plain))); err != nil {
		return image{}, err
	}
	one.confAt = describe(v1.MediaTypeImageConfig, one.config)
	one.manifest, err = json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: one.confAt, Layers: []v1.Descriptor{one.layerAt}, Annotations: b.annotations(),
	})
	one.at = describe(v1.MediaTypeImageManifest, one.manifest)
	one.at.Platform = &v1.Platform{Architecture: arch, OS: "linux"}
	return one, err
}

// containerConfig is the image's configuration with Docker's health check, which OCI's specification lets an image carry and
// engines that do not know it ignore.
type containerConfig struct {
	v1.ImageConfig

	Healthcheck struct {
		Test                           []string
		Interval, Timeout, StartPeriod time.Duration
		Retries                        int
	}
}

func (b *builder) config(arch string, layer digest.Digest) any {
	config := containerConfig{ImageConfig: v1.ImageConfig{
		User: strconv.Itoa(daemonID),
		Env: []string{
			"PATH=/usr/bin", "TICKETD_DAEMON_SOCKET_GROUP=" + webGroup,
		},
		Entrypoint: []string{"/usr/bin/ticketd"}, Cmd: []string{"serve"}, WorkingDir: "/", StopSignal: "SIGTERM",
		Volumes: map[string]struct{}{}, Labels: b.annotations(),
	}}
	for _, v := range volumes {
		config.Volumes["/"+v.path] = struct{}{}
	}
	check := &config.Healthcheck
	check.Test, check.Retries = []string{"CMD", "/usr/bin/ticketd", "ping", "--timeout", "2s"}, 3
	check.Interval, check.Timeout, check.StartPeriod = 10*time.Second, 3*time.Second, time.Minute
	return struct {
		v1.Image

		Config containerConfig `json:"config"`
	}{
		Image: v1.Image{
			Created: &b.created, Platform: v1.Platform{Architecture: arch, OS: "linux"},
			RootFS:  v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer}},
			History: []v1.History{{Created: &b.created, CreatedBy: "ticketd's internal/ociimage"}},
		},
		Config: config,
	}
}

func (b *builder) annotations() map[string]string {
	all := map[string]string{
		v1.AnnotationTitle:         "ticketd",
		v1.AnnotationDescription:   "Write-behind for support tickets of WordPress",
		v1.AnnotationVersion:       b.version,
		v1.AnnotationCreated:       b.created.Format(time.RFC3339),
		v1.AnnotationSource:        "https://github.com/ticketd/ticketd",
		v1.AnnotationDocumentation: "https://github.com/ticketd/ticketd/blob/main/docs/containers.md",
		v1.AnnotationLicenses:      "GPL-3.0-or-later",
	}
	if b.revision != "" {
		all[v1.AnnotationRevision] = b.revision
	}
	return all
}

// entry is a file or folder of the image's root.
type entry struct {
	path    string // without a leading /
	mode    int64
	owner   int
	content []byte // nil is a folder
}

// files are the image's root, folders before their content.
func (b *builder) files(binary []byte) ([]entry, error) {
	authorities, err := roots()
	if err != nil {
		return nil, err
	}
	files := []entry{
		{path: "etc/passwd", mode: 0o644, content: []byte(passwd)},
		{path: "etc/group", mode: 0o644, content: []byte(groups)},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities},
		{path: "tmp", mode: 0o1777},
		{path: "usr/bin/ticketd", mode: 0o755, content: binary},
	}
	return withParents(slices.Concat(files, b.extra, volumes)), nil
}

// withParents adds the folders that entries are in.
func withParents(files []entry) []entry {
	seen := make(map[string]bool)
	var all []entry
	var add func(dir string)
	add = func(dir string) {
		if dir == "." || seen[dir] {
			return
		}
		add(path.Dir(dir))
		seen[dir] = true
		all = append(all, entry{path: dir, mode: 0o755})
	}
	for _, file := range files {
		add(path.Dir(file.path))
		seen[file.path] = true
		all = append(all, file)
	}
	return all
}

// roots are the authorities that TLS connections trust without a CA of their own: those of the pinned Go module, not of the
// machine that builds. A root for which Mozilla limits trust further is left out.
func roots() ([]byte, error) {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// pack writes an archive in which nothing depends on the machine or its clock.
func pack(files []entry, made time.Time) ([]byte, error) {
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, file := range files {
		header := &tar.Header{
			Name: file.path, Mode: file.mode, Uid: file.owner, Gid: file.owner, ModTime: made, Format: tar.FormatUSTAR,
			Typeflag: tar.TypeReg, Size: int64(len(file.content)),
		}
		if file.content == nil {
			header.Typeflag, header.Name = tar.TypeDir, file.path+"/"
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", file.path, err)
		}
		if _, err := archive.Write(file.content); err != nil {
			return nil, fmt.Errorf("%s: %w", file.path, err)
		}
	}
	err := archive.Close()
	return out.Bytes(), err
}

func compress(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

func describe(mediaType string, content []byte) v1.Descriptor {
	sum := sha256.Sum256(content)
	return v1.Descriptor{
		MediaType: mediaType, Digest: digest.NewDigestFromBytes(digest.SHA256, sum[:]), Size: int64(len(content)),
	}
}
