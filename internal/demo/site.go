package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ticketd/ticketd/internal/testenv"
)

// mustUse makes agents of the visitors, over REST, too, and reports the time of the call to the daemon, measured in PHP.
const mustUse = `
add_filter( 'ticketd_rest_permission', '__return_true' );
add_filter( 'user_has_cap', fn( $caps ) => array( 'ticketd_edit_tickets' => true ) + $caps );
add_filter( 'rest_request_before_callbacks', function ( $response ) {
	$GLOBALS['demo_begin'] = hrtime( true );
	return $response;
} );
add_filter( 'rest_request_after_callbacks', function ( $response ) {
	header( 'X-Demo-Nanoseconds: ' . ( hrtime( true ) - $GLOBALS['demo_begin'] ) );
	return $response;
} );
`

// site is the demo's WordPress with all servers.
type site struct {
	*testenv.Stack
	dir string
}

// startSite starts all servers in a temporary folder, printing each step.
func startSite(ctx context.Context, redis bool) (*site, error) {
	dir, err := os.MkdirTemp("", "ticketd-demo-")
	if err != nil {
		return nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	s := &site{dir: dir}
	fmt.Printf("Building ticketd …\n")
	binary := filepath.Join(dir, "ticketd-bin")
	if err := testenv.BuildTicketd(ctx, binary); err != nil {
		return nil, errors.Join(err, s.end())
	}
	servers := "Redis, MariaDB, PHP-FPM, nginx, WordPress"
	if !redis {
		servers = "MariaDB, PHP-FPM, nginx, WordPress (no Redis: changes wait in ticketd's journal)"
	}
	fmt.Printf("Starting %s and ticketd in %s …\n", servers, dir)
	s.Stack, err = testenv.StartStack(ctx, dir, binary, filepath.Join("php-client", "ticketd"), testenv.StackOptions{
		MustUse: mustUse, TCP: true, NoRedis: !redis, Site: "[sites.main.history]\nenabled = true\n",
		Redis: testenv.RedisOptions{Config: []string{"appendonly yes", "maxmemory-policy noeviction"}},
	})
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// end stops all servers and removes the folder.
func (s *site) end() error {
	var err error
	if s.Stack != nil {
		err = s.Stop()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
