package mysql_test

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/sync/mysql"
)

func TestValidateReportsEveryMistake(t *testing.T) {
	t.Parallel()
	err := mysql.Config{
		DSN: "user:s3cret@tcp(host", Table: "a b", Key: "`", Revision: strings.Repeat("r", 65), MaxRows: -1, MaxConns: -1,
		Columns: map[string]string{"_x": "a", "y": "b;", "p": "same", "q": "same"},
	}.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, setting := range []string{"dsn:", "table:", "key:", "revision:", "max_rows:", "max_conns:", `"_x"`,
		"columns.y:", `"same"`} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%s is not reported in: %v", setting, err)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestValidateAcceptsTheDefaults(t *testing.T) {
	t.Parallel()
	if err := (mysql.Config{DSN: "u@unix(/s)/d"}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := mysql.Open(mysql.Config{DSN: "u:s3cret@unix(/s)/"}); err == nil || strings.Contains(err.Error(),
		"s3cret") {
		t.Errorf("a DSN without a database: error %v", err)
	}
}
