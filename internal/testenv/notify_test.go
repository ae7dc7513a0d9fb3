package testenv

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// sendTo is a service's side of sd_notify.
func sendTo(t *testing.T, path string) func(message string) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(message string) {
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Errorf("sending %q: %v", message, err)
		}
	}
}

func TestNotificationsCanBeWaitedForOneAfterTheOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(Folder(t), "notify")
	n, err := ListenNotify(path)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	send := sendTo(t, path)

	send("READY=1\nSTATUS=serving\n")
	next, err := n.Wait(t.Context(), 0, "READY=1")
	if err != nil {
		t.Fatal(err)
	}
	go send("RELOADING=1\nMONOTONIC_USEC=5")
	go send("READY=1")
	if _, err = n.Wait(t.Context(), next, "RELOADING=1"); err != nil {
		t.Fatal(err)
	}
	if again, err := n.Wait(t.Context(), next, "READY=1"); err != nil || again <= next {
		t.Fatalf("second READY=1 at %d, %v; want one behind %d", again, err, next)
	}
}

func TestNotificationsThatNeverComeEndWithTheContext(t *testing.T) {
	t.Parallel()
	n, err := ListenNotify(filepath.Join(Folder(t), "notify"))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Wait(ctx, 0, "READY=1"); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v; want the context's", err)
	}
}

func TestNotificationsKeepWhatWasSentBeforeClose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(Folder(t), "notify")
	n, err := ListenNotify(path)
	if err != nil {
		t.Fatal(err)
	}
	send, want := sendTo(t, path), []string{}
	for i := range 100 { // far more than the kernel queues
		line := "STATUS=" + strconv.Itoa(i)
		want = append(want, line)
		send(line)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if got := n.Lines(); !slices.Equal(got, want) {
		t.Fatalf("%d lines came, want all %d in order: %q", len(got), len(want), got)
	}
}
