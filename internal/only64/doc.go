// Package only64 ends a build for a 32-bit processor with the reason. It imports nothing, so that its error comes first.
package only64
