// Package round measures several ways of doing the same thing side by side: round after round each of them runs once,
// in an order that moves on by one with every round, so that what else the machine does meets them all. What counts
// are the ratios within the rounds; absolute times are not comparable between runs.
package round
