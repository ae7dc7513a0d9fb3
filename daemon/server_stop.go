package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Stop ends the server in order: stop accepting, let the clients that are connected send what they are about to,
// answer every request that was sent, close. What is not done when ctx ends is cut, which is an error. Further calls
// wait for the first and return its error; a server that was never started is closed.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	defer s.cancel()
	s.startOnce.Do(func() {}) // a later Start must not accept on a closed socket
	err := s.stopAccepting()
	served := done(&s.serving)
	s.awaitClients(ctx, served)
	s.each(func(c *conn) { c.shutReading() })
	select {
	case <-served:
		return err
	case <-ctx.Done():
	}
	cut := s.cut(served)
	return errors.Join(err, fmt.Errorf("stop serving: %d connections were cut: %w", cut, context.Cause(ctx)))
}

// stopAccepting closes the listener. Clients in the queue of a socket that goes with this daemon are accepted first.
func (s *Server) stopAccepting() error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	if !s.listener.inherited {
		if err := os.Remove(s.listener.Addr().String()); err == nil {
			s.listener.SetUnlinkOnClose(false) // the path may be a successor's by the time of Close
		}
	}
	s.extendAccept()
	s.accepting.Wait()
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the socket: %w", err)
	}
	return nil
}

// extendAccept bounds, while the server stops, the wait for the next client in the queue.
func (s *Server) extendAccept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.stopping:
	case s.listener.inherited:
		_ = s.listener.SetDeadline(time.Unix(1, 0)) // the queue is the next daemon's
	default:
		_ = s.listener.SetDeadline(time.Now().Add(acceptGrace))
	}
}

// awaitClients gives connected clients a moment for the request that they are about to send, less where all are gone.
func (s *Server) awaitClients(ctx context.Context, served <-chan struct{}) {
	grace := time.NewTimer(s.opts.DrainGrace)
	defer grace.Stop()
	select {
	case <-served:
	case <-grace.C:
	case <-ctx.Done():
	}
}

// cut cancels all requests, lets them be answered for a moment, and closes what is left. It returns how many
// connections that concerned. A handler that does not even heed that is left behind: the process is about to end.
func (s *Server) cut(served <-chan struct{}) int {
	s.cancel()
	n := 0
	s.each(func(*conn) { n++ })
	if waitFor(served, cutGrace) {
		return n
	}
	s.each(func(c *conn) { c.close() })
	waitFor(served, cutGrace)
	return n
}

// waitFor says whether ch was closed within d.
func waitFor(ch <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ch:
		return true
	case <-timer.C:
		return false
	}
}

func (s *Server) each(do func(c *conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

// done is closed when the group is.
func done(group *sync.WaitGroup) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		group.Wait()
		close(ch)
	}()
	return ch
}
