// Package charset checks what names consist of. A regular expression with a bound, such as {1,64}, is unrolled when the program
// starts: the ten that this package replaces took most of a megabyte of every daemon.
package charset

import "strings"

// Bytes that names consist of.
const (
	Lower   = "abcdefghijklmnopqrstuvwxyz0123456789"
	Letters = Lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// Only says whether a name has 1 to most bytes, all of them among these ASCII bytes.
func Only(name string, most int, bytes string) bool {
	return name != "" && len(name) <= most && strings.Trim(name, bytes) == ""
}
