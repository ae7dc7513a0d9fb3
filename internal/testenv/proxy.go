package testenv

import (
	"bytes"
	"context"
	"fmt"
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
	gate  chan struct{}              // closed: open
	shut  []chan struct{}            // gates that still hold something, see Divert
	held  map[chan struct{}][]byte   // what is held back and not yet delivered; the channel is closed when it is
	owed  map[net.Conn]chan struct{} // servers that owe an answer to what was delivered; the channel is closed when it comes
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
	p := &Proxy{
		listener: listener, target: target, delay: delay, gate: make(chan struct{}),
		held: make(map[chan struct{}][]byte), owed: make(map[net.Conn]chan struct{}),
	}
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

// ReleaseAnswered is Release, and returns when the server has answered what was held, or has closed the connection: what was held
// has had its effect then. It is for servers that answer each request before they read the next.
func (p *Proxy) ReleaseAnswered(ctx context.Context) error {
	p.Release()
	p.mu.Lock()
	owed := slices.Collect(maps.Values(p.owed))
	p.mu.Unlock()
	for _, answered := range owed {
		select {
		case <-answered:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the answer of %s: %w", filepath.Base(p.target), ctx.Err())
		}
	}
	return nil
}

// owes notes that the server has an answer to give, answered that it gives one.
func (p *Proxy) owes(server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owed[server] == nil {
		p.owed[server] = make(chan struct{})
	}
}

func (p *Proxy) answered(server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiting := p.owed[server]; waiting != nil {
		close(waiting)
		delete(p.owed, server)
	}
}

// answers is the client, to which the server's answers go.
type answers struct {
	client, server net.Conn
	proxy          *Proxy
}

func (a answers) Write(answer []byte) (int, error) {
	a.proxy.answered(a.server)
	return a.client.Write(answer)
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
			_, _ = io.Copy(answers{client, server, p}, server)
			p.answered(server)
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
			p.owes(server)
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
