package ids

import "context"

// Kill ends an allocator as kill -9 ends its daemon.
func (a *Allocator) Kill() {
	_ = a.loop.Stop(context.Background(), "allocator")
	r := a.reserve
	_ = r.loop.Stop(context.Background(), "reserve")
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.close()
}
