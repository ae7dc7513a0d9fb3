package webhook_test

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/webhook"
)

// A receiver with Standard Webhooks' own library accepts what it has to accept, and nothing that was changed on the way.
func TestSignature(t *testing.T) {
	t.Parallel()
	now := time.Now()
	secrets := []string{webhook.NewSecret(), webhook.NewSecret()}
	r := newReceiver(t, nil)
	p := r.publisher(t, func(c *webhook.Config) {
		c.Secrets = secrets
		c.Now = func() time.Time { return now }
	})
	event := change(812)
	event.Fields = ticket.Fields{
		{Name: "subject", Value: ticket.Text("Résumé \"<b>\" 🎫\x00")}, {Name: "empty", Value: ticket.Text("")}, {Name: "none"},
	}
	for range 2 {
		wantDecisions(t, p.Publish(t.Context(), []ticket.Event{event}), feed.Confirmed)
		now = now.Add(-time.Minute)
	}
	first, second := r.take(t), r.take(t)
	for _, request := range []received{first, second} {
		for _, secret := range secrets {
			if err := verify(t, secret, request); err != nil {
				t.Errorf("a receiver with one of the secrets says: %v", err)
			}
		}
	}
	if id, again := first.header.Get("Webhook-Id"), second.header.Get("Webhook-Id"); id != event.ID() || again != event.ID() {
		t.Errorf("the tries have the ids %q and %q, not %q", id, again, event.ID())
	}
	if !bytes.Equal(first.body, second.body) {
		t.Error("the second try has another body")
	}
	for _, name := range []string{"Webhook-Timestamp", "Webhook-Signature"} {
		if first.header.Get(name) == second.header.Get(name) {
			t.Errorf("the second try has the first one's %s", name)
		}
	}

	for name, spoil := range map[string]func(r *received){
		"a changed byte": func(r *received) { r.body[len(r.body)/2] ^= 1 },
		"another id":     func(r *received) { r.header.Set("Webhook-Id", "1-1") },
		"an old time":    func(r *received) { setTime(r, now.Add(-6*time.Minute)) },
		"no time":        func(r *received) { r.header.Del("Webhook-Timestamp") },
		"no signature":   func(r *received) { r.header.Del("Webhook-Signature") },
		"another time":   func(r *received) { setTime(r, now.Add(time.Second)) },
	} {
		spoiled := received{header: first.header.Clone(), body: bytes.Clone(first.body)}
		spoil(&spoiled)
		if verify(t, secrets[0], spoiled) == nil {
			t.Errorf("%s: the receiver accepts the request", name)
		}
	}
	if verify(t, webhook.NewSecret(), first) == nil {
		t.Error("a receiver with another secret accepts the request")
	}
}

func verify(t *testing.T, secret string, request received) error {
	t.Helper()
	receiver, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return receiver.Verify(request.body, request.header)
}

func setTime(r *received, at time.Time) {
	r.header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
}

// Other forms of a secret are in use, and each of them makes a receiver that computes another signature.
func TestSecretsRefused(t *testing.T) {
	t.Parallel()
	good := webhook.NewSecret()
	for name, secrets := range map[string][]string{
		"none":         nil,
		"three":        {good, good, good},
		"no prefix":    {strings.TrimPrefix(good, "whsec_")},
		"a version":    {"v1," + good},
		"hexadecimal":  {hex.EncodeToString([]byte("a secret of thirty-two bytes ..."))},
		"8 bytes":      {"whsec_MTIzNDU2Nzg="},
		"no padding":   {strings.TrimRight(good, "=")},
		"empty":        {""},
		"second wrong": {good, "old"},
	} {
		_, err := webhook.New(webhook.Config{URL: "https://crm.example/", Secrets: secrets})
		if err == nil || !strings.HasPrefix(err.Error(), "secret: ") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, secret := range secrets {
			if secret != "" && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error repeats the secret: %v", name, err)
			}
		}
	}
}

// received is a request as it arrived.
type received struct {
	header http.Header
	body   []byte
	path   string
}
