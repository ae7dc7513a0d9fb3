//go:build race

package testenv

// raceEnabled says that this program was built with the race detector.
const raceEnabled = true
