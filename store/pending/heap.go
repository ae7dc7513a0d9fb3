package pending

import "container/heap"

// order keeps items by less; each item remembers its place, so that it can move and leave.
type order[T any] struct {
	items []T
	less  func(a, b T) bool
	place func(T) *int // one-based; 0: not in here
}

// put takes an item in, or moves it to where it belongs now.
func (o *order[T]) put(item T) {
	if at := *o.place(item); at > 0 {
		heap.Fix((*ordering[T])(o), at-1)
		return
	}
	heap.Push((*ordering[T])(o), item)
}

// remove takes an item out, if it is in here.
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
	item := x.(T) //nolint:forcetypeassert // heap.Push is called above alone
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
