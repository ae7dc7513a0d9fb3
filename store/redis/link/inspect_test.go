package link

import (
	"strings"
	"testing"
)

// FuzzInfo reads any text as Redis' INFO: each value that ParseInfo returns is in the text, and no warning is empty.
func FuzzInfo(f *testing.F) {
	f.Add("# Memory\r\nmaxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n# Replication\r\nrole:slave\r\naof_enabled:0\r\n")
	f.Add("maxmemory_policy\r\n:\r\nrole:\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		info := ParseInfo(text)
		for name, value := range info {
			if !strings.Contains(text, name+":"+value) {
				t.Errorf("%q:%q does not stand in %q", name, value, text)
			}
		}
		for _, w := range warnings(info) {
			if w == "" {
				t.Errorf("an empty warning of %q", text)
			}
		}
	})
}
