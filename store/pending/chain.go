package pending

// chain is a list with the links in the items, so that membership needs no other memory.
type chain[T any] struct {
	first, last *T
	length      int
	links       func(*T) *links[T]
}

type links[T any] struct{ before, after *T }

// push appends an item that is in no chain.
func (c *chain[T]) push(item *T) {
	*c.links(item) = links[T]{before: c.last}
	if c.last == nil {
		c.first = item
	} else {
		c.links(c.last).after = item
	}
	c.last = item
	c.length++
}

// remove takes out an item that is in this chain.
func (c *chain[T]) remove(item *T) {
	at := c.links(item)
	if at.before == nil {
		c.first = at.after
	} else {
		c.links(at.before).after = at.after
	}
	if at.after == nil {
		c.last = at.before
	} else {
		c.links(at.after).before = at.before
	}
	*at = links[T]{}
	c.length--
}
