package chaos

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
)

//go:embed page.php
var page []byte

// web is PHP-FPM behind nginx, with the plugin's client class and a page that makes a single call.
type web struct {
	client *http.Client
	site   *site
}

func newWeb(t *testing.T, s *site) *web {
	t.Helper()
	root := testenv.Folder(t)
	if err := os.WriteFile(filepath.Join(root, "index.php"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := filepath.Join("..", "..", "php-client", "ticketd", "src")
	if err := os.CopyFS(filepath.Join(root, "src"), os.DirFS(plugin)); err != nil {
		t.Fatal(err)
	}
	fpm := testenv.NewPHPFPM(t, testenv.PHPFPMOptions{Children: phpClients})
	nginx := testenv.NewNginx(t, testenv.NginxOptions{Root: root, FastCGI: fpm.Socket()})
	client := nginx.Client()
	t.Cleanup(client.CloseIdleConnections)
	t.Cleanup(func() {
		lines, err := fpm.Errors("")
		if err != nil || len(lines) > 0 {
			t.Errorf("PHP's error log: %v %.2000q", err, lines)
		}
	})
	return &web{client: client, site: s}
}

// phpCaller calls a daemon through the plugin's client class, which spools undeliverable changes.
type phpCaller struct {
	host *host
	web  *web
}

func (p *phpCaller) close() {}

// pageTimeout bounds a page: far above the client class' own deadline of a second.
const pageTimeout = 30 * time.Second

// asked is the input of the page, answered its output.
type (
	asked struct {
		Kind     history.Kind             `json:"kind"`
		Socket   string                   `json:"socket"`
		Spool    string                   `json:"spool"`
		Database string                   `json:"database"` // the socket of MariaDB
		Table    string                   `json:"table"`    // empty if a client must not take ids from the sequence
		Identity string                   `json:"identity"` // of the table
		Ticket   int64                    `json:"ticket"`
		Fields   map[string]history.Value `json:"fields"`
		Limit    int                      `json:"limit"`
	}
	answered struct {
		ID        int64      `json:"id"`
		Revision  int64      `json:"revision"`
		Fields    anyFields  `json:"fields"`
		Stale     bool       `json:"stale"`
		Tickets   []answered `json:"tickets"`
		Code      string     `json:"code"`
		Message   string     `json:"message"`
		Ambiguous bool       `json:"ambiguous"`
	}
)

// anyFields are a ticket's fields in PHP. PHP's empty array is a list.
type anyFields map[string]any

// UnmarshalJSON implements [json.Unmarshaler].
func (f *anyFields) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("[]")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode((*map[string]any)(f))
}

// call makes an operation through a page.
func (p *phpCaller) call(ctx context.Context, op *history.Op) {
	op.Tries, op.Request = 1, "" // the client class makes repetitions and request ids by itself
	reads := op.Kind == history.Get || op.Kind == history.List
	said, err := p.visit(ctx, op)
	switch {
	case err != nil:
		op.Outcome, op.Code = history.Unknown, history.Unanswered+err.Error()
		if reads {
			op.Outcome = history.Refused
		}
	case said.Code == "not_found" && op.Kind == history.Get:
		op.Outcome, op.Code, op.Missing = history.Done, said.Code, true
	case said.Code != "":
		op.Outcome, op.Code = history.Refused, said.Code
		if !reads && (said.Ambiguous || said.Code == "internal") {
			op.Outcome = history.Unknown
		}
	default:
		op.Outcome = history.Done
		p.take(op, said)
	}
}

// take records an answer.
func (p *phpCaller) take(op *history.Op, said *answered) {
	op.Revision, op.Stale = said.Revision, said.Stale
	switch op.Kind {
	case history.Get:
		op.Fields = said.Fields.texts()
	case history.List:
		for _, one := range said.Tickets {
			op.Tickets = append(op.Tickets, history.Read{Ticket: one.ID, Revision: one.Revision, Fields: one.Fields.texts()})
		}
	default:
		if op.Kind == history.Create {
			op.Ticket = said.ID
		}
		if said.Revision == 0 {
			op.Code = history.Spooled
		}
	}
}

func (f anyFields) texts() map[string]history.Value {
	fields := make(map[string]history.Value)
	for name, value := range f {
		if !slices.Contains(history.Fields, name) {
			continue
		}
		fields[name] = nil
		if value != nil {
			text := fmt.Sprint(value)
			fields[name] = &text
		}
	}
	return fields
}

func (p *phpCaller) visit(ctx context.Context, op *history.Op) (*answered, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	body, err := json.Marshal(asked{
		Kind: op.Kind, Socket: p.host.socket, Spool: p.host.spool,
		Database: p.web.site.mariadb.Socket(), Table: p.web.site.ownTable(), Identity: p.web.site.identity,
		Ticket: op.Ticket, Fields: op.Fields, Limit: listed,
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/index.php", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := p.web.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	said := &answered{}
	if err := json.Unmarshal(text, said); err != nil {
		return nil, fmt.Errorf("%s: %.200s", resp.Status, text)
	}
	return said, nil
}
