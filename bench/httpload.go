package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// httpLoad asks for one path over so many connections at a time until the time is over, and returns the requests per
// second. Each request is the same bytes, written at once: the generator runs on the processors that it measures.
func httpLoad(ctx context.Context, address, path string, connections int, span time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, connections)
	begin := time.Now()
	for c := range connections {
		all.Go(func() {
			errs[c] = ask(ctx, address, path, &done)
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), errors.Join(errs...)
}

// ask sends requests on one connection, one after the other, and counts the answers.
func ask(ctx context.Context, address, path string, done *atomic.Int64) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	var late net.Error
	switch {
	case err == nil:
	case errors.As(err, &late) && late.Timeout():
		return nil // the time is over: the dialer may know it before the context does
	default:
		return err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
	for ctx.Err() == nil {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		response, err := http.ReadResponse(r, nil) //nolint:bodyclose // it has no connection of its own; it is read to its end
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if string(body) != "ok" {
			return fmt.Errorf("%s answers %s: %s", path, response.Status, body)
		}
		done.Add(1)
		if response.Close { // nginx ends a connection after a thousand requests
			_ = conn.Close()
			return ask(ctx, address, path, done)
		}
	}
	return nil
}
