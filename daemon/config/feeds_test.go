package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

const goodSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// destination loads a configuration with one destination.
func destination(t *testing.T, keys string) (config.Destination, error) {
	t.Helper()
	c, err := load(t, minimal+"[sites.main.feeds.crm]\n"+keys, nil, nil)
	if err != nil {
		return config.Destination{}, err
	}
	return c.Sites["main"].Feeds["crm"], nil
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(goodSecret+"\n"+goodSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := destination(t, "kind = \"webhook\"\nurl = \"https://crm.example/hooks\"\nsecret_file = \""+file+"\"\n"+
		"types = [\"created\"]\nfields = [\"status\"]\nnot_via = [\"import\"]\nof = \"states\"\nparallel = 8\ntimeout = \"3s\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if d.URL.Reveal() != "https://crm.example/hooks" || d.URL.String() != "***" ||
		!slices.Equal(d.Secrets(), []string{goodSecret, goodSecret}) ||
		d.Of != config.OfStates || d.Parallel != 8 || d.GiveUp != 72*time.Hour || d.Batch != 1 {
		t.Errorf("%+v", d)
	}
	for _, good := range []string{
		"kind = \"webhook\"\nurl = \"http://127.0.0.1:8080/hooks\"\nsecret = \"" + goodSecret + "\"\n",
		"kind = \"amqp\"\nurl = \"amqps://u:p@mq.example/tickets\"\nunroutable = \"drop\"\n",
		"kind = \"kafka\"\nbrokers = [\"10.0.0.9:9092\"]\ntls = true\nsasl = \"scram-sha-512\"\nusername = \"u\"\npassword = \"p\"\n",
		"kind = \"kafka\"\nbrokers = [\"10.0.0.9:9092\"]\nof = \"states\"\ntombstones = true\n",
		"kind = \"nats\"\nurl = \"tls://10.0.0.10:4222\"\ncreate = true\n",
		"kind = \"pull\"\n",
	} {
		if _, err := destination(t, good); err != nil {
			t.Errorf("%v for\n%s", err, good)
		}
	}
}

func TestMistakesInDestinationsAreNamed(t *testing.T) {
	t.Parallel()
	webhook := "kind = \"webhook\"\nurl = \"https://crm.example/h\"\nsecret = \"" + goodSecret + "\"\n"
	nats := "kind = \"nats\"\nurl = \"tls://mq:4222\"\n"
	creds := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(creds, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	kafka := "kind = \"kafka\"\nbrokers = [\"10.0.0.9:9092\"]\n"
	for text, key := range map[string]string{
		"kind = \"ftp\"\n": "kind", webhook + "of = \"rows\"\n": "of", webhook + "types = [\"changed\"]\n": "types",
		webhook + "timeout = \"0s\"\n": "timeout", webhook + "give_up = \"1s\"\n": "give_up", webhook + "batch = 0\n": "batch",
		webhook + "parallel = 65\n": "parallel", webhook + "exchange = \"x\"\n": "exchange", webhook + "topic = \"t\"\n": "topic",
		webhook + "username = \"u\"\n": "username", webhook + "colour = \"red\"\n": "colour", webhook + "tls = true\n": "tls",
		"kind = \"webhook\"\nsecret = \"" + goodSecret + "\"\n":                                           "url",
		"kind = \"webhook\"\nurl = \"http://crm.example/hunter2\"\nsecret = \"" + goodSecret + "\"\n":     "url",
		"kind = \"webhook\"\nurl = \"https://u:hunter2@crm.example/\"\nsecret = \"" + goodSecret + "\"\n": "url",
		"kind = \"webhook\"\nurl = \"https://crm.example/h\"\n":                                           "secret",
		"kind = \"webhook\"\nurl = \"https://crm.example/h\"\nsecret = \"v1,whsec_hunter2\"\n":            "secret",
		"kind = \"webhook\"\nurl = \"https://crm.example/h\"\nsecret = \"whsec_aHVudGVyMg==\"\n":          "secret",
		"kind = \"webhook\"\nurl = \"https://crm.example/h\"\nsecret = \"68756e74657232\"\n":              "secret",
		webhook + "secret_file = \"/no/such/file\"\n":                                                     "secret_file",
		webhook + "url_file = \"/no/such/file\"\n":                                                        "url_file",
		webhook + "tls_ca = \"/no/such/file\"\n":                                                          "tls_ca",
		"kind = \"amqp\"\nurl = \"https://u:hunter2@mq/\"\n":                                              "url",
		"kind = \"amqp\"\nurl = \"amqp://mq/\"\nunroutable = \"wait\"\n":                                  "unroutable",
		"kind = \"kafka\"\n": "brokers", kafka + "sasl = \"plain\"\nusername = \"u\"\npassword = \"hunter2\"\n": "sasl",
		kafka + "sasl = \"gssapi\"\n": "sasl", kafka + "sasl = \"scram-sha-256\"\n": "sasl", kafka + "username = \"u\"\n": "username",
		kafka + "tombstones = true\n": "tombstones", kafka + "topic = \"\"\n": "topic", "kind = \"nats\"\nurl = \"mq:4222\"\n": "url",
		"kind = \"pull\"\ntypes = [\"created\"]\n": "types", kafka + "password_file = \"/no/such/file\"\n": "password_file",
		nats + "credentials_file = \"/no/such/file\"\n":                   "credentials_file",
		nats + "credentials_file = \"" + creds + "\"\nusername = \"u\"\n": "credentials_file",
		kafka + "credentials_file = \"" + creds + "\"\n":                  "credentials_file",
	} {
		_, err := destination(t, text)
		if err == nil || !strings.Contains(err.Error(), "sites.main.feeds.crm."+key) {
			t.Errorf("error %v, want one that names %s, for\n%s", err, key, text)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	for _, name := range []string{"history", "\"a b\""} {
		if _, err := load(t, minimal+"[sites.main.feeds."+name+"]\nkind = \"pull\"\n", nil, nil); err == nil {
			t.Errorf("a destination may be called %s", name)
		}
	}
}
