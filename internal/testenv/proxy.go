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

// Proxy stands between a client and a server on Unix sockets and delays or holds the client's data. Held data is delivered
// later, also if the client has died meanwhile: the late write of a dead process.
type Proxy struct {
	listener net.Listener
	target   string
	delay    time.Duration
	pumps    sync.WaitGroup

	mu    sync.Mutex
	gate  chan struct{}              // closed: open
	shut  []chan struct{}            // gates with held data, see Divert
	held  map[chan struct{}][]byte   // held data; the channel is closed after delivery
	owed  map[net.Conn]chan struct{} // servers that owe an answer to delivered data; the channel is closed at the answer
	conns []net.Conn
}

// NewProxy starts a proxy before the socket of a server, for a test.
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

// Hold holds the data that clients send from now on.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// Divert passes the data that clients send from now on, and keeps the held data.
func (p *Proxy) Divert() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = append(p.shut, p.gate)
	p.gate = make(chan struct{})
	close(p.gate)
}

// Release delivers the held data, and passes all later data. Release returns after the server's socket has received the held
// data.
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

// ReleaseAnswered is Release, and returns after the server has answered the held data or has closed the connection: the held
// data has had its effect by then. The server must answer each request before reading the next.
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

// owes notes that the server owes an answer, answered that the answer came.
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

// Held returns on how many connections data is held.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)
}

// Holds reports whether held data contains the text.
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

// pass waits until a client's data may be delivered; call delivered after the delivery.
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
		if err != nil { // the server is down, so the proxy is down
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

// send delivers the client's data after the delay.
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
