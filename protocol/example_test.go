package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// In a service: one client for all calls of a goroutine, a deadline for each call, and a request id for each change, so that a
// change that met a restart of the daemon is made exactly once.
func ExampleOpen() {
	socket, stop := standIn() // /run/ticketd/ticketd.sock
	defer stop()

	client := protocol.Open(socket)
	defer client.Close()
	client.Table = "wordpress.wp_support_tickets"

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	made, err := client.Create(ctx, []protocol.Field{
		{Name: "subject", Value: protocol.Text("The printer is on fire")},
		{Name: "status", Value: protocol.Text("open")},
		{Name: "customer_id", Value: protocol.Int(7)},
	}, "order-5512")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ticket", made.ID)
	// Output: ticket 812
}

// A change that must not overwrite what another agent has done meanwhile.
func ExampleClient_Set() {
	socket, stop := standIn()
	defer stop()

	client := protocol.Open(socket)
	defer client.Close()
	ctx := context.Background()

	ticket, err := client.Get(ctx, 812)
	if err != nil || ticket.Stale {
		fmt.Println("not now:", err) // a stale ticket's revision is no condition
		return
	}
	_, err = client.Set(ctx, protocol.SetParams{
		Change:     protocol.Change{RequestID: "close-812"},
		ID:         812,
		Fields:     []protocol.Field{{Name: "status", Value: protocol.Text("closed")}},
		IfRevision: ticket.Revision - 1, // somebody was faster
	})
	if refused, is := errors.AsType[*protocol.Error](err); is && refused.Code == protocol.CodeConflict {
		fmt.Println("the ticket is at revision", refused.Revision)
	}
	// Output: the ticket is at revision 9
}

// All tickets that are not closed and that changed since the last time, page by page.
func ExampleClient_List() {
	socket, stop := standIn()
	defer stop()

	client := protocol.Open(socket)
	defer client.Close()

	page := protocol.ListParams{Ascending: true, Limit: 500}
	page.Where = []protocol.Filter{
		{Field: "status", Is: protocol.NotEqual, Values: []protocol.Value{protocol.Text("closed")}},
		{Field: "revision", Is: protocol.Above, Values: []protocol.Value{protocol.Int(7)}},
	}
	for {
		found, err := client.List(context.Background(), page)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, ticket := range found.Tickets {
			status, _ := ticket.Fields.Get("status")
			fmt.Println(ticket.ID, ticket.Revision, status.Text())
		}
		if page.After = found.Next; page.After == "" {
			break
		}
	}
	// Output: 812 9 open
}

// Which errors a caller tells apart.
func ExampleError() {
	socket, stop := standIn()
	defer stop()

	client := protocol.Open(socket)
	defer client.Close()

	_, err := client.Get(context.Background(), 404)
	refused, is := errors.AsType[*protocol.Error](err)
	switch {
	case err == nil:
	case is && refused.Code == protocol.CodeNotFound:
		fmt.Println("there is no such ticket")
	case is && refused.Retryable:
		fmt.Println("try again later:", refused.Message)
	case is:
		fmt.Println("a fault in the request:", refused.Field, refused.Message)
	case errors.Is(err, protocol.ErrBroken):
		fmt.Println("the outcome is unknown; repeat a change under its request id:", err)
	default:
		fmt.Println("no daemon:", err)
	}
	// Output: there is no such ticket
}

// standIn is a stand-in for the daemon, which knows ticket 812 at revision 9.
func standIn() (socket string, stop func()) {
	dir, err := os.MkdirTemp("", "ticketd-example-")
	if err != nil {
		panic(err)
	}
	socket = filepath.Join(dir, "s")
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			payload, err := protocol.ReadFrame(conn, nil)
			if err != nil {
				return
			}
			if _, err := conn.Write(standInAnswer(payload)); err != nil {
				return
			}
		}
	}()
	return socket, func() {
		_ = listener.Close()
		<-done
		_ = os.RemoveAll(dir)
	}
}

func standInAnswer(payload []byte) []byte {
	var e protocol.Encoder
	req, err := protocol.DecodeRequest(payload)
	if err != nil {
		panic(err)
	}
	ticket := &protocol.Ticket{ID: 812, Revision: 9, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}}}
	var result protocol.Result
	switch req.Method {
	case protocol.MethodCreate:
		result = &protocol.CreateResult{ID: 812, Revision: 9}
	case protocol.MethodSet:
		return e.Failure(req.ID, protocol.Conflict(ticket.Revision, "the ticket is at revision 9"))
	case protocol.MethodList:
		result = &protocol.ListResult{Tickets: []*protocol.Ticket{ticket}}
	default:
		var p protocol.GetParams
		if err := p.Decode(req.Params); err != nil || p.ID != ticket.ID {
			return e.Failure(req.ID, protocol.Errorf(protocol.CodeNotFound, "there is no ticket %d", p.ID))
		}
		result = ticket
	}
	frame, err := e.Reply(req.ID, result)
	if err != nil {
		panic(err)
	}
	return frame
}
