package pending

import "container/heap"

// order keeps items ordered by less; each item remembers its place, so that the item can be moved and removed.
type order[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(T) *int // counts from 1; 0: not in this order
}

// put adds an item, or moves the item to its new place.
func (o *order[T]) put(item T) {
	if at := *o.place(item); at > 0 {
		heap.Fix((*ordering[T])(o), at-1)
		return
	}
	heap.Push((*ordering[T])(o), item)
}

// remove removes an item, if present.
func (o *order[T]) remove(item T) {
	if at := *o.place(item); at > 0 {
		heap.Remove((*ordering[T])(o), at-1)
	}
}

// first returns the least item.
func (o *order[T]) first() (item T, there bool) {
	if len(o.items) == 0 {
		return item, false
	}
	return o.items[0], true
}

// ordering is an order as container/heap wants it.
type ordering[T any] order[T]

func (o *ordering[T]) Len() int           { return len(o.items) }
func (o *ordering[T]) Less(i, j int) bool { return o.less(o.items[i], o.items[j]) }

func (o *ordering[T]) Swap(i, j int) {
	o.items[i], o.items[j] = o.items[j], o.items[i]
	*o.place(o.items[i]), *o.place(o.items[j]) = i+1, j+1
}

func (o *ordering[T]) Push(x any) {
	item := x.(T) //nolint:forcetypeassert // only put calls heap.Push
	o.items = append(o.items, item)
	*o.place(item) = len(o.items)
}

func (o *ordering[T]) Pop() any {
	var none T
	last := len(o.items) - 1
	item := o.items[last]
	o.items[last] = none
	o.items = o.items[:last]
	*o.place(item) = 0
	return item
}
