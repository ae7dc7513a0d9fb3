package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/protocol"
)

// floors are C programs that answer the frames of a PHP client, on sockets of their own: no daemon can be faster.
type floors struct {
	alone  *echoServer // answers at once
	hset   *echoServer // sends an HSET to Redis first
	script *echoServer // makes ticketd's own script call first
}

// floorPrefix is the key prefix of the floor that calls ticketd's script.
const floorPrefix = "floor:"

// startFloors compiles the program and starts it for each floor.
func (e *env) startFloors(ctx context.Context) (f *floors, err error) {
	binary := filepath.Join(e.dir, "echo")
	source := filepath.Join("bench", "echo", "echo.c")
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", binary, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the echo server: %w\n%s", err, out)
	}
	hset, err := e.commandFile("hset", []string{
		"HSET", "floor", "status", "pending", "priority", "high", "assigned_to", "7", "category", "printers",
	})
	if err != nil {
		return nil, err
	}
	call, err := e.scriptCall(ctx, floorPrefix, true)
	if err != nil {
		return nil, err
	}
	script, err := e.commandFile("script", call)
	if err != nil {
		return nil, err
	}
	f = &floors{}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if f.alone, err = startEcho(ctx, binary, filepath.Join(e.dir, "echo.sock")); err != nil {
		return nil, err
	}
	if f.hset, err = startEcho(ctx, binary, filepath.Join(e.dir, "hset.sock"), e.redis.Socket(), e.password, hset); err != nil {
		return nil, err
	}
	f.script, err = startEcho(ctx, binary, filepath.Join(e.dir, "script.sock"), e.redis.Socket(), e.password, script)
	return f, err
}

// byWay are the floors by the names in php/.
func (f *floors) byWay() map[string]*echoServer {
	if f == nil {
		return nil
	}
	return map[string]*echoServer{wayFloor: f.alone, wayHSET: f.hset, wayScript: f.script}
}

// forget makes the floor's tickets clean again by forgetting the tickets, as ticketd's tickets are clean after a flush.
func (e *env) forget(ctx context.Context) error {
	client := goredis.NewClient(e.redis.Options())
	defer func() { _ = client.Close() }()
	const tickets = 1000 // as many as echo.c uses
	keys := []string{floorPrefix + "ticket:dirty"}
	for id := range tickets {
		keys = append(keys, fmt.Sprintf("%sticket:%012d", floorPrefix, id))
	}
	return client.Unlink(ctx, keys...).Err()
}

func (f *floors) stop() {
	for _, s := range f.byWay() {
		s.stop()
	}
}

// echoServer is a process of the C program.
type echoServer struct {
	cmd    *exec.Cmd
	socket string
}

// startEcho starts an echo server on a socket; redis are further arguments.
func startEcho(ctx context.Context, binary, socket string, redis ...string) (*echoServer, error) {
	_ = os.Remove(socket) // an earlier one's
	s := &echoServer{socket: socket}
	s.cmd = exec.CommandContext(ctx, binary, append([]string{socket}, redis...)...)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the echo server: %w", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.stop()
		return nil, fmt.Errorf("starting the echo server: %w", err)
	}
	return s, nil
}

// stop kills the echo server, which has no data to keep.
func (s *echoServer) stop() {
	if s == nil {
		return
	}
	_ = s.cmd.Process.Kill() // fails if the server has ended already
	_ = s.cmd.Wait()
}

// The places of a ticket's id and of a request's id in a command. redis-benchmark and echo/echo.c write a number of twelve digits
// there: a ticket of a thousand, and, echo.c alone, a request that is new each time.
const anyTicket, anyRequest = "__rand_int__", "__next_int__"

// scriptCall is the call of apply.lua for a write of four fields, on keys with a separate prefix; with a request id, as the
// plugin's writes have it, or without. The daemon itself says what the call is: scriptCall writes through the daemon and
// observes Redis meanwhile, so the call cannot differ from the call that ticketd makes.
func (e *env) scriptCall(ctx context.Context, prefix string, request bool) ([]string, error) {
	const id = 987_654_321
	var change protocol.Change
	if request {
		const remember = 10 * time.Minute // as the plugin asks for
		change = protocol.Change{RequestID: rand.Text()[:len(anyRequest)], Remember: remember}
	}
	call, err := e.observed(ctx, protocol.SetParams{Change: change, ID: id, Fields: fourFields(1)})
	if err != nil {
		return nil, err
	}
	client := goredis.NewClient(e.redis.Options())
	defer func() { _ = client.Close() }()
	own := prefix + "ticket:"
	// The meta hash has the epoch and the fence that the call carries.
	if err := client.Copy(ctx, e.main.prefix+"ticket:meta", own+"meta", 0, true).Err(); err != nil {
		return nil, fmt.Errorf("copying the filling's marks: %w", err)
	}
	for i, arg := range call {
		arg = strings.Replace(arg, e.main.prefix+"ticket:", own, 1)
		if before, is := strings.CutSuffix(arg, strconv.Itoa(id)); is {
			arg = before + anyTicket
		}
		if before, is := strings.CutSuffix(arg, change.RequestID); is && request {
			arg = before + anyRequest
		}
		call[i] = arg
	}
	// redis-benchmark and the C floor ignore what a reply says, so check a single reply here.
	args := make([]any, len(call))
	for i, arg := range call {
		args[i] = strings.NewReplacer(anyTicket, "7", anyRequest, rand.Text()).Replace(arg)
	}
	reply, err := client.Do(ctx, args...).Int64Slice()
	if err != nil || len(reply) < 3 || reply[0] != 0 {
		return nil, fmt.Errorf("the script answers %v (%w) to a call on other keys", reply, err)
	}
	return call, nil
}

// observed makes a write through the daemon and returns the command that the daemon sends to Redis.
func (e *env) observed(ctx context.Context, write protocol.SetParams) (call []string, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", e.redis.Socket())
	if err != nil {
		return nil, fmt.Errorf("observing Redis: %w", err)
	}
	defer func() { _ = conn.Close() }()
	const patience = 10 * time.Second
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(conn)
	for _, command := range []string{"AUTH " + e.password, "MONITOR"} {
		if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
			return nil, err
		}
		if reply, err := lines.ReadString('\n'); err != nil || reply != "+OK\r\n" {
			return nil, fmt.Errorf("observing Redis: %q (%w)", reply, err)
		}
	}
	client, err := protocol.Dial(ctx, e.main.socket)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	if _, err := client.Set(ctx, write); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%sticket:%d", e.main.prefix, write.ID)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("observing the daemon's write: %w", err)
		}
		if words := monitored(line); len(words) > 0 && strings.EqualFold(words[0], "evalsha") && strings.Contains(line, key) {
			return words, nil
		}
	}
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// monitored returns the words of a command as MONITOR shows the command.
func monitored(line string) []string {
	found := quoted.FindAllString(line, -1)
	words := make([]string, 0, len(found))
	for _, word := range found {
		plain, err := strconv.Unquote(word)
		if err != nil {
			return nil
		}
		words = append(words, plain)
	}
	return words
}

// commandFile writes a command as Redis reads it to a file, for echo/echo.c.
func (e *env) commandFile(name string, words []string) (string, error) {
	var s strings.Builder
	fmt.Fprintf(&s, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&s, "$%d\r\n%s\r\n", len(word), word)
	}
	file := filepath.Join(e.dir, name)
	return file, os.WriteFile(file, []byte(s.String()), 0o600)
}
