package testenv

import (
	"bufio"
	"context"
	"errors"
	"net"
	"testing"
)

// Held data has had its effect when ReleaseAnswered returns: it waits for the server's answer, or for the connection's end.
func TestReleaseWaitsForTheAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(server net.Conn){
		"an answer": func(server net.Conn) { _, _ = server.Write([]byte("done\n")) },
		"the end":   func(server net.Conn) { _ = server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var config net.ListenConfig
			path, err := socketIn(Folder(t), "server.sock")
			if err != nil {
				t.Fatal(err)
			}
			listener, err := config.Listen(t.Context(), "unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			proxy := NewProxy(t, path, 0)
			client, err := (&net.Dialer{}).DialContext(t.Context(), "unix", proxy.Socket())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			server, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			proxy.Hold()
			if _, err := client.Write([]byte("do\n")); err != nil {
				t.Fatal(err)
			}
			Eventually(t, startTimeout, "the request is held", func() bool { return proxy.Holds("do") })

			given, cancel := context.WithCancel(t.Context())
			cancel()
			if err := proxy.ReleaseAnswered(given); !errors.Is(err, context.Canceled) {
				t.Errorf("before the answer: %v; want that it was given up", err)
			}
			if _, err := bufio.NewReader(server).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			answer(server)
			if err := proxy.ReleaseAnswered(t.Context()); err != nil {
				t.Errorf("after the answer: %v", err)
			}
		})
	}
}
