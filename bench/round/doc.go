// Package round measures several ways to do the same work side by side: each way runs once in a round, in an order that moves
// on by a place each round, so that other load on the machine hits all ways alike. The ratios within the rounds count;
// absolute times are not comparable between runs.
package round
