package config

import "testing"

func TestWhichPasswordsAreExposed(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]bool{
		"u:p@unix(/s)/d": false, "u:p@tcp(127.0.0.1:3306)/d": false, "u:p@tcp([::1]:3306)/d": false, "u:p@tcp(localhost:3306)/d": false,
		"u:p@tcp(db:3306)/d": true, "u:p@tcp(10.0.0.1:3306)/d": true, "u:p@tcp(db:3306)/d?tls=true": false,
		"u:p@tcp(db:3306)/d?tls=false": true, "u:p@tcp(db:3306)/d?tls=skip-verify": false,
	} {
		if got := (&Site{DSN: Secret(dsn)}).Exposed(); got != want {
			t.Errorf("%s: %v", dsn, got)
		}
	}
	if (&Site{DSN: "u:p@tcp(db:3306)/d", TLS: true}).Exposed() {
		t.Error("with TLS by keys")
	}
}
