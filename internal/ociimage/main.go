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
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
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
