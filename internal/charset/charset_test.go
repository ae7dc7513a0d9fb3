package charset

import (
	"strings"
	"testing"
)

func TestOnly(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"": false, "a": true, "wp_2": true, "wp-2": false, "é": false, "a\xffb": false, "a b": false, "a\n": false, "A": true,
		strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
	} {
		if Only(name, 64, Letters+"_$") != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
