package setup

import (
	_ "embed"
	"strings"
	"text/template"

	"github.com/pelletier/go-toml/v2"
)

// draft is what the configuration is written from.
type draft struct {
	Source, DSN, Prefix string
	// Site is the site's name, KeyPrefix that of its keys in Redis.
	Site, KeyPrefix string
	Multisite       bool
	Redis           *foundRedis
	User, Group     string // of PHP; empty if unknown
	Tickets         *adopted
}

// Users is User as a list.
func (d *draft) Users() []string { return []string{d.User} }

//go:embed ticketd.toml.tmpl
var page string

// line writes key = value in TOML, whatever characters the value has.
func line(key string, value any) (string, error) {
	text, err := toml.Marshal(map[string]any{key: value})
	return strings.TrimRight(string(text), "\n"), err
}

var pageTemplate = template.Must(template.New("ticketd.toml").Funcs(template.FuncMap{"line": line}).Parse(page))

func render(d *draft) (string, error) {
	var b strings.Builder
	if err := pageTemplate.Execute(&b, d); err != nil {
		return "", err
	}
	err := sectionTemplate.Execute(&b, d)
	return b.String(), err
}
