package ids

import "context"

// Kill ends an allocator like kill -9.
func (a *Allocator) Kill() {
	_ = a.loop.Stop(context.Background(), "allocator")
	r := a.reserve
	_ = r.loop.Stop(context.Background(), "reserve")
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.close()
}
