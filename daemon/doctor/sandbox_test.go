package doctor

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/unit"
)

// The doctor sees a socket in /tmp or /home, and the service does not.
func TestWhatTheServiceDoesNotSee(t *testing.T) {
	t.Parallel()
	c := config.Defaults()
	c.Redis.Addr = "unix:///home/shop/redis.sock"
	c.Sites = map[string]config.Site{"main": {DSN: "u:p@unix(/tmp/mysql.sock)/d"}, "other": {DSN: "u:p@tcp(db:3306)/d"}}
	view := unit.Parse("LoadState=loaded\nPrivateTmp=yes\nProtectHome=yes\n")
	e := &exam{Options: Options{Config: &c, Unit: &view}}
	checkSandbox(t.Context(), e)
	if len(e.found) != 3 || e.found[1].Site != "main" || e.found[2].Verdict != Warn || e.found[2].Check != "tls" ||
		!strings.Contains(e.found[0].Fix, "BindPaths=/home/shop") ||
		!strings.Contains(e.found[1].Fix, "PrivateTmp=no") {
		t.Errorf("%+v", e.found)
	}
}
