//go:build !man

package main

import "github.com/spf13/cobra"

// packagersCommands are in the program that a package is built with, by the build tag man: what makes the pages would cost every
// daemon memory.
func packagersCommands() []*cobra.Command { return nil }
