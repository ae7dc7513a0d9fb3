package testenv

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestWordPressServesAnActivatedPlugin(t *testing.T) {
	t.Parallel()
	plugin := filepath.Join(Folder(t), "probe")
	if err := os.Mkdir(plugin, 0o700); err != nil {
		t.Fatal(err)
	}
	const code = `<?php
/* Plugin Name: Probe */
add_action( 'rest_api_init', function () {
	register_rest_route( 'probe/v1', '/ask', array(
		'methods' => 'GET',
		'callback' => function () { trigger_error( 'probe was asked', E_USER_NOTICE ); return PROBE; },
		'permission_callback' => function () { return current_user_can( 'manage_options' ); },
	) );
} );`
	if err := os.WriteFile(filepath.Join(plugin, "probe.php"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	site := NewWordPress(t, WordPressOptions{
		Plugins: []string{plugin}, Config: "define( 'PROBE', 'it\\'s me' );", Debug: true,
	})
	password, err := site.Run(t.Context(), `echo WP_Application_Passwords::create_new_application_password(
		get_user_by( 'login', $argv[1] )->ID, array( 'name' => 'test' ) )[0];`, site.User)
	if err != nil {
		t.Fatal(err)
	}

	if status, _ := ask(t, site, ""); status != http.StatusUnauthorized {
		t.Errorf("a visitor got status %d, want 401", status)
	}
	if status, body := ask(t, site, password); status != http.StatusOK || body != "it's me" {
		t.Errorf("the administrator got status %d and %q, want 200 and the constant of wp-config.php", status, body)
	}
	notices, err := site.PHPFPM.Errors("probe was asked")
	if err != nil || len(notices) != 1 {
		t.Errorf("the log has %q (%v), want the one notice", notices, err)
	}
	if own, err := site.PHPFPM.Errors("wp-config.php"); err != nil || len(own) != 0 {
		t.Errorf("the generated configuration makes PHP complain: %q (%v)", own, err)
	}
}

// ask calls the probe's route, as the administrator where a password is given.
func ask(t *testing.T, site *WordPress, password string) (status int, body string) {
	t.Helper()
	client := site.Nginx.Client()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL()+"/wp-json/probe/v1/ask", nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		request.SetBasicAuth(site.User, password)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(raw, &body) // an error's body is no string
	return response.StatusCode, body
}

func TestWordPressIsReachableByABrowser(t *testing.T) {
	t.Parallel()
	site := NewWordPress(t, WordPressOptions{TCP: true})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL()+"/wp-login.php", nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("the log-in page has status %d, want 200", response.StatusCode)
	}
}
