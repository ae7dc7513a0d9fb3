package only64

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A build for a 32-bit processor ends with the reason, and not with an error somewhere in the code.
func TestOnly64Bit(t *testing.T) {
	t.Parallel()
	for _, arch := range []string{"386", "arm"} {
		build := exec.CommandContext(t.Context(), "go", "build", ".")
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err == nil || !strings.Contains(string(out), "needs_a_64_bit_processor") {
			t.Errorf("%s: %v: %s", arch, err, out)
		}
	}
}
