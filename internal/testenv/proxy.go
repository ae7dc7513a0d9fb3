package testenv

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server on Unix sockets and delays or holds what the client sends. What it holds
// is delivered later, also when the client has died meanwhile: the late write of a process that is gone.
type Proxy struct {
	listener net.Listener
	target   string
	delay    time.Duration
	pumps    sync.WaitGroup

	mu    sync.Mutex
	gate  chan struct{}            // closed: open
	shut  []chan struct{}          // gates that still hold something, see Divert
	held  map[chan struct{}][]byte // what is held back and not yet delivered; the channel is closed when it is
	conns []net.Conn
}

// NewProxy starts a proxy before the socket of a server, for one test.
func NewProxy(t testing.TB, target string, delay time.Duration) *Proxy {
	t.Helper()
	path, err := socketIn(Folder(t), "proxy.sock")
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatalf("proxy before %s: %v", filepath.Base(target), err)
	}
	p := &Proxy{listener: listener, target: target, delay: delay, gate: make(chan struct{}), held: make(map[chan struct{}][]byte)}
	close(p.gate)
	p.pumps.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Socket is where clients connect.
func (p *Proxy) Socket() string { return p.listener.Addr().String() }

// Target is the server's socket.
func (p *Proxy) Target() string { return p.target }

// Hold keeps back what clients send from now on.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// Divert lets pass what clients send from now on, and goes on holding what is held.
func (p *Proxy) Divert() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = append(p.shut, p.gate)
	p.gate = make(chan struct{})
	close(p.gate)
}

// Release delivers what was held, and all that follows. It returns when what was held has been handed to the server's
// socket.
func (p *Proxy) Release() {
	p.mu.Lock()
	for _, gate := range append(p.shut, p.gate) {
		select {
		case <-gate:
		default:
			close(gate)
		}
	}
	p.shut = nil
	held := slices.Collect(maps.Keys(p.held))
	p.mu.Unlock()
	for _, delivered := range held {
		<-delivered
	}
}

// Holds tells whether something is held back that contains the text.
func (p *Proxy) Holds(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, sent := range p.held {
		if bytes.Contains(sent, []byte(text)) {
			return true
		}
	}
	return false
}

// pass waits until what a client sent may be delivered; delivered must be called when it was.
func (p *Proxy) pass(sent []byte) (delivered func()) {
	done := make(chan struct{})
	p.mu.Lock()
	gate := p.gate
	p.held[done] = sent
	p.mu.Unlock()
	<-gate
	return func() {
		p.mu.Lock()
		delete(p.held, done)
		p.mu.Unlock()
		close(done)
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		server, err := dialer.DialContext(context.Background(), "unix", p.target)
		if err != nil { // the server is down: so is what stands before it
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.pumps.Go(func() { p.send(client, server) })
		p.pumps.Go(func() {
			_, _ = io.Copy(client, server)
			_ = client.Close()
		})
	}
}

// send delivers what the client sends, late.
func (p *Proxy) send(client, server net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if n > 0 {
			if p.delay > 0 {
				time.Sleep(p.delay)
			}
			delivered := p.pass(buffer[:n])
			_, err := server.Write(buffer[:n])
			delivered()
			if err != nil {
				return
			}
		}
		if err != nil {
			_ = server.Close()
			return
		}
	}
}

// close ends all connections.
func (p *Proxy) close() {
	_ = p.listener.Close()
	p.Release()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.pumps.Wait()
}
