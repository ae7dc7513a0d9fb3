package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// In a network each blog has its own keys, site and rows, also for posts of the same id within a page; a blog without a site of
// post meta is WordPress' alone.
func TestMetaInANetwork(t *testing.T) {
	t.Parallel()
	sites := fmt.Sprintf(metaConfig, behind+metaKeys) +
		"[sites.shop]\ndsn = DSN\nkind = \"postmeta\"\ntable_prefix = \"wp_2_\"\nkey_prefix = \"shop:\"\n" + behind +
		"post_types = [\"ticket\"]\n[sites.shop.keys]\nstate = \"_state\"\n"
	s := testenv.NewStack(t, testenv.StackOptions{
		Debug: true, Multisite: true, Source: testenv.WordPressSource(t, testenv.Newest), Sites: sites,
		MustUse: "add_action( 'init', function () { register_post_type( 'ticket' ); } );",
	})
	run(t, s, `foreach ( array( 'shop', 'blog' ) as $name ) { wpmu_create_blog( 'localhost', "/$name/", $name, 1 ); }`)
	config := filepath.Join(t.TempDir(), "ticketd.toml")
	writeFile(t, config, s.Config(strings.ReplaceAll(sites, "DSN", fmt.Sprintf("%q", s.MariaDB.DSN(testenv.StackDatabase)))))
	for _, site := range []string{"desk", "shop"} {
		migrate := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "migrate", "--config", config, "--site", site)
		if out, err := migrate.CombinedOutput(); err != nil {
			t.Fatalf("ticketd migrate: %v\n%s", err, out)
		}
	}
	const learn = `echo Ticketd\WordPress\Meta\Loader::install();
		foreach ( array( 1, 2, 3 ) as $blog ) {
			switch_to_blog( $blog );
			$learnt = Ticketd\WordPress\Meta\Adapter::instance()->learn( 'post' );
			echo is_wp_error( $learnt ) ? $learnt->get_error_code() : implode( $learnt['keys'] ), ' ';
			restore_current_blog();
		}`
	testenv.Eventually(t, 20*time.Second, "the keys of two blogs are installed", func() bool {
		return strings.HasPrefix(run(t, s, learn), "_wpas_note_wpas_status _state ticketd_")
	})
	out := run(t, s, `
		$said = array();
		foreach ( array( 1, 2, 3 ) as $blog ) {
			switch_to_blog( $blog );
			wp_insert_post( array( 'import_id' => 900, 'post_type' => 'ticket', 'post_status' => 'publish', 'post_title' => 'x' ) );
			foreach ( array( '_wpas_status', '_state' ) as $key ) {
				add_post_meta( 900, $key, "first $blog" );
				update_post_meta( 900, $key, "of $blog" );
			}
			restore_current_blog();
		}
		foreach ( array( 3, 2, 1, 2 ) as $blog ) {
			switch_to_blog( $blog );
			$said[] = get_post_meta( 900, '_wpas_status', true ) . '+' . get_post_meta( 900, '_state', true );
			restore_current_blog();
		}
		echo implode( '|', $said );`)
	if want := "of 3+of 3|of 2+of 2|of 1+of 1|of 2+of 2"; out != want {
		t.Errorf("three blogs have %s, want %s", out, want)
	}
	db := s.MariaDB.DB(t, testenv.StackDatabase)
	rows := func() string {
		var all strings.Builder
		for _, prefix := range []string{"wp_", "wp_2_", "wp_3_"} {
			var text string
			query := "SELECT COALESCE(GROUP_CONCAT(meta_key,'=',meta_value ORDER BY meta_key), '') FROM " + prefix +
				"postmeta WHERE post_id=900"
			if err := db.QueryRowContext(t.Context(), query).Scan(&text); err != nil {
				t.Fatal(err)
			}
			all.WriteString(text + "|")
		}
		return all.String()
	}
	if got, want := rows(), "_state=of 1|_wpas_status=of 2|_state=of 3,_wpas_status=of 3|"; got != want {
		t.Errorf("before a flush the tables have %s, want %s: each blog's own keys are pending", got, want)
	}
	run(t, s, `foreach ( array( 1, 2 ) as $blog ) {
		switch_to_blog( $blog ); Ticketd\WordPress\Meta\Adapter::instance()->flush( 'post' ); restore_current_blog(); }`)
	const want = "_state=of 1,_wpas_status=of 1|_state=of 2,_wpas_status=of 2|_state=of 3,_wpas_status=of 3|"
	if got := rows(); got != want {
		t.Errorf("after a flush the tables have %s, want %s", got, want)
	}
	noNotices(t, s)
}

// The daemon's keys are for tickets alone: a post of another type keeps its rows to WordPress, whatever registers the key there,
// with a type and a default; and so does a post that becomes one of another type.
func TestMetaOfAnotherPostType(t *testing.T) {
	t.Parallel()
	s := newMetaStack(t, behind+metaKeys, false, testenv.StackOptions{MustUse: `add_action( 'init', function () {
		register_post_type( 'ticket' );
		register_post_meta( 'page', '_wpas_status', array( 'type' => 'integer', 'single' => true, 'default' => 5,
			'sanitize_callback' => 'absint' ) );
		register_post_meta( 'ticket', '_wpas_status', array( 'type' => 'string', 'single' => true, 'default' => 'none',
			'sanitize_callback' => fn( $value ) => strtoupper( $value ) ) );
	} );`})
	db := s.MariaDB.DB(t, testenv.StackDatabase)
	out := run(t, s, `
		$said = array();
		foreach ( array( 901 => 'page', 902 => 'ticket' ) as $id => $type ) {
			wp_insert_post( array( 'import_id' => $id, 'post_type' => $type, 'post_status' => 'publish', 'post_title' => 'x' ) );
			$said[] = get_post_meta( $id, '_wpas_status', true );
			update_post_meta( $id, '_wpas_status', '7up' );
			$said[] = get_post_meta( $id, '_wpas_status', true );
		}
		wp_insert_post( array( 'import_id' => 903, 'post_type' => 'ticket', 'post_status' => 'publish', 'post_title' => 'x' ) );
		update_post_meta( 903, '_wpas_status', 'a' );
		wp_update_post( array( 'ID' => 902, 'post_type' => 'page' ) );
		set_post_type( 903, 'page' );
		foreach ( array( 902, 903 ) as $id ) {
			update_post_meta( $id, '_wpas_status', '8' );
			$said[] = get_post_meta( $id, '_wpas_status', true );
		}
		echo wp_json_encode( $said );`)
	if want := `[5,"7","none","7UP","8","8"]`; out != want {
		t.Errorf("the values are %s, want %s", out, want)
	}
	run(t, s, flushMeta)
	var rows string
	if err := db.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(post_id,'=',meta_value ORDER BY post_id) FROM wp_postmeta"+
		" WHERE meta_key='_wpas_status'").Scan(&rows); err != nil || rows != "901=7,902=8,903=8" {
		t.Errorf("the table has %s (%v)", rows, err)
	}
	noNotices(t, s)
}
