// Package version knows which build this is.
package version

import (
	"runtime/debug"

	_ "github.com/ticketd/ticketd/internal/only64" // names the reason why a 32-bit build fails
)

// Version is set at link time (-ldflags "-X …"); a plain go build leaves Version empty, and String uses the module's own
// information.
var Version = ""

// String returns the version, "devel" if unknown.
func String() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
