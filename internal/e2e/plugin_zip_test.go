package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// WordPress installs and activates the zip of `make plugin`, like an uploaded zip.
func TestWordPressInstallsTheZip(t *testing.T) {
	t.Parallel()
	file := filepath.Join(testenv.Folder(t), "ticketd.zip")
	plugin := filepath.Join("..", "..", "php-client", "ticketd")
	if out, err := exec.CommandContext(t.Context(), "go", "run", "../pluginzip", plugin, file).CombinedOutput(); err != nil {
		t.Fatalf("making the zip: %v\n%s", err, out)
	}
	eachWordPress(t, func(t *testing.T, source string) {
		site := testenv.NewWordPress(t, testenv.WordPressOptions{
			Source: source, Debug: true, Config: "define( 'FS_METHOD', 'direct' );",
		})
		out, err := site.Run(t.Context(), `
			wp_set_current_user( 1 );
			require_once ABSPATH . 'wp-admin/includes/admin.php';
			require_once ABSPATH . 'wp-admin/includes/class-wp-upgrader.php';
			$upgrader = new Plugin_Upgrader( new Automatic_Upgrader_Skin() );
			$done     = $upgrader->install( $argv[1] );
			if ( true !== $done ) { print_r( $done ); exit( 1 ); }
			$active = activate_plugin( 'ticketd/ticketd.php' );
			if ( is_wp_error( $active ) ) { echo $active->get_error_message(); exit( 1 ); }
			$data = get_plugin_data( WP_PLUGIN_DIR . '/ticketd/ticketd.php' );
			$table = $wpdb->get_var( "SHOW TABLES LIKE 'wp_support_tickets'" );
			echo $data['Version'], ' ', $table, ' ', Ticketd\WordPress\Plugin::VERSION;`, file)
		if want := "0.1.0 wp_support_tickets 0.1.0"; err != nil || out != want {
			t.Errorf("installing the zip: %q (%v), want %q", out, err, want)
		}
		lines, err := site.PHPFPM.Errors("/plugins/ticketd/")
		if err != nil || len(lines) > 0 {
			t.Errorf("PHP reported (%v): %q", err, lines)
		}
	})
}
