// Package feed brings the events of a site to its destinations: one courier per destination reads the store's feed behind the
// destination's cursor, publishes, and moves the cursor once the destination has confirmed.
package feed
