// Package unit tells what systemd's sandbox hides from the daemon: a socket that a command sees may not be there for the service.
package unit

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// View is what the service's unit hides. The zero value hides nothing, as on a host without the unit.
type View struct {
	tmp, home bool
	shown     []string // BindPaths= and BindReadOnlyPaths= bring these back
}

// askTimeout bounds the question to systemd.
const askTimeout = 5 * time.Second

// Read asks systemd for the view of ticketd.service. Without systemd, or without the unit, the view hides nothing.
func Read(ctx context.Context) View {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "ticketd.service",
		"--property=LoadState,PrivateTmp,ProtectHome,BindPaths,BindReadOnlyPaths").Output()
	if err != nil {
		return View{}
	}
	return Parse(string(out))
}

// Parse reads the properties as `systemctl show` prints them.
func Parse(properties string) View {
	var v View
	for line := range strings.Lines(properties) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			if value != "loaded" {
				return View{}
			}
		case "PrivateTmp":
			v.tmp = value != "no" && value != ""
		case "ProtectHome":
			v.home = value != "no" && value != "read-only" && value != ""
		case "BindPaths", "BindReadOnlyPaths":
			for field := range strings.FieldsSeq(value) { // source:destination:options
				parts := strings.Split(field, ":")
				v.shown = append(v.shown, parts[min(1, len(parts)-1)])
			}
		}
	}
	return v
}

// Hides returns the directive that hides a path from the service, and the lines of a drop-in that show the path; empty for a
// path that the service sees.
func (v *View) Hides(path string) (directive, dropIn string) {
	path = filepath.Clean(path)
	within := func(folders ...string) bool {
		for _, folder := range folders {
			if path == folder || strings.HasPrefix(path, folder+"/") {
				return true
			}
		}
		return false
	}
	if !filepath.IsAbs(path) || within(v.shown...) {
		return "", ""
	}
	switch {
	case v.tmp && within("/tmp", "/var/tmp"):
		return "PrivateTmp=yes", "PrivateTmp=no"
	case v.home && within("/home", "/root", "/run/user"):
		return "ProtectHome=yes", "BindPaths=" + filepath.Dir(path)
	default:
		return "", ""
	}
}
