// Command ociimage writes the container image of ticketd without a container engine: the static binary, the CAs of the
// Mozilla root program, two small files of users, and the folders of the volumes. The same binaries make the same bytes.
//
// Usage: ociimage -version V -created SECONDS -out DIR [-file PATH=FILE]… ARCH=BINARY…
//
// DIR/oci is an OCI image layout of all architectures, and DIR/ticketd_V_ARCH.oci.tar an archive of one architecture, which
// `podman load`, `docker load` and `skopeo copy oci-archive:…` read. A small writer instead of ko: ko builds the binary itself,
// with other flags than the packages, needs a base image for users, CAs and folders, and sets neither user nor volumes.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ociimage:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("ociimage", flag.ContinueOnError)
	version := flags.String("version", "", "the image's version and tag")
	created := flags.Int64("created", 0, "the time of image and files, in seconds since 1970")
	revision := flags.String("revision", "", "the commit")
	out := flags.String("out", "dist", "the folder to write to")
	var extra []entry
	flags.Func("file", "a further file of the image, as PATH=FILE", func(pair string) error {
		to, from, _ := strings.Cut(pair, "=")
		content, err := os.ReadFile(from)
		extra = append(extra, entry{path: strings.TrimPrefix(to, "/"), mode: 0o644, content: content})
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *version == "" || flags.NArg() == 0 {
		return errors.New("usage: ociimage -version V -created SECONDS -out DIR ARCH=BINARY…")
	}
	b := builder{version: *version, revision: *revision, created: time.Unix(*created, 0).UTC(), extra: extra}
	var images []image
	for _, arg := range flags.Args() {
		arch, path, _ := strings.Cut(arg, "=")
		binary, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		one, err := b.build(arch, binary)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		images = append(images, one)
		archive := filepath.Join(*out, fmt.Sprintf("ticketd_%s_%s.oci.tar", *version, arch))
		if err := writeArchive(archive, b.layout(one), b.dockerManifest(one), b.created); err != nil {
			return err
		}
	}
	return writeFolder(filepath.Join(*out, "oci"), b.layout(images...))
}

// repository is the image's name in engines that load an archive.
const repository = "localhost/ticketd"

// layout is an OCI image layout of the images: an index in an index, so that one name stands for all architectures.
func (b *builder) layout(images ...image) []entry {
	var blobs []entry
	of := make([]v1.Descriptor, len(images))
	for i := range images {
		one := &images[i]
		blobs = append(blobs, blob(one.layerAt, one.layer), blob(one.confAt, one.config), blob(one.at, one.manifest))
		of[i] = one.at
	}
	top := of[0]
	if len(images) > 1 {
		index := encode(index(of, nil))
		top = describe(v1.MediaTypeImageIndex, index)
		blobs = append(blobs, blob(top, index))
	}
	top.Annotations = map[string]string{
		v1.AnnotationRefName: b.version, "io.containerd.image.name": repository + ":" + b.version,
	}
	return withParents(append([]entry{
		{path: v1.ImageLayoutFile, mode: 0o644, content: encode(v1.ImageLayout{Version: v1.ImageLayoutVersion})},
		{path: v1.ImageIndexFile, mode: 0o644, content: encode(index([]v1.Descriptor{top}, b.annotations()))},
	}, blobs...))
}

func index(of []v1.Descriptor, annotations map[string]string) v1.Index {
	return v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: of, Annotations: annotations,
	}
}

// dockerManifest is the file by which `docker load` of every version finds config and layer in an archive of one image.
func (b *builder) dockerManifest(one image) entry {
	return entry{path: "manifest.json", mode: 0o644, content: encode([]any{map[string]any{
		"Config": pathOf(one.confAt.Digest), "Layers": []string{pathOf(one.layerAt.Digest)},
		"RepoTags": []string{repository + ":" + b.version},
	}})}
}

func blob(at v1.Descriptor, content []byte) entry {
	return entry{path: pathOf(at.Digest), mode: 0o644, content: content}
}

func pathOf(d digest.Digest) string {
	return path.Join(v1.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// encode writes what has only fields that JSON can write.
func encode(what any) []byte {
	text, err := json.Marshal(what)
	if err != nil {
		panic(fmt.Sprintf("encoding %T: %v", what, err))
	}
	return text
}

func writeArchive(file string, layout []entry, manifest entry, made time.Time) error {
	content, err := pack(append(layout, manifest), made)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	return os.WriteFile(file, content, 0o644) //nolint:gosec // likewise
}

// writeFolder replaces a folder with a layout.
func writeFolder(dir string, layout []entry) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	for _, file := range layout {
		at := filepath.Join(dir, filepath.FromSlash(file.path))
		var err error
		if file.content == nil {
			err = os.Mkdir(at, 0o755) //nolint:gosec // likewise
		} else {
			err = os.WriteFile(at, file.content, 0o644) //nolint:gosec // likewise
		}
		if err != nil {
			return err
		}
	}
	return nil
}
