/**
 * All browser tests, one after the other: they share a site, and later ones find what earlier ones did.
 */
import { after, before } from 'node:test';
import { close, open, php } from './helpers.mjs';

before( async () => {
	await open();
	await php( `
		foreach ( array( 'agent-a' => 'editor', 'agent-b' => 'editor', 'customer-1' => 'subscriber', 'customer-2' => 'subscriber' ) as $login => $role ) {
			wp_insert_user( array(
				'user_login'   => $login,
				'user_pass'    => 'a long password of the tests',
				'user_email'   => "$login@example.org",
				'display_name' => ucwords( str_replace( '-', ' ', $login ) ),
				'role'         => $role,
			) );
		}
		$subjects = array(
			'Where is my parcel?', 'The invoice shows the wrong address', 'Refund for a damaged mug', 'Cannot log in',
			'Printer cable: 100% of the pins are bent', 'Change of the delivery day', 'Two items are missing', 'A coupon is not accepted',
		);
		for ( $i = 0; $i < 64; $i++ ) {
			$made = ticketd_create_ticket( array(
				'subject'     => $subjects[ $i % 8 ],
				'status'      => array( 'open', 'pending', 'open', 'resolved', 'closed' )[ $i % 5 ],
				'priority'    => array( 'normal', null, 'high', 'low' )[ $i % 4 ],
				'category'    => array( 'delivery', 'billing', 'returns', null )[ $i % 4 ],
				'customer_id' => get_user_by( 'login', 'customer-' . ( $i % 2 + 1 ) )->ID,
				'assigned_to' => array( null, get_user_by( 'login', 'agent-a' )->ID, get_user_by( 'login', 'agent-b' )->ID )[ $i % 3 ],
			) );
			if ( is_wp_error( $made ) ) {
				fwrite( STDERR, $made->get_error_message() );
				exit( 1 );
			}
		}
		update_option( 'show_avatars', 0 ); // They are on another host.
		do_action( 'ticketd_watchdog' ); // The plugin learns that the daemon keeps a history.
		echo '"ready"';
	` );
} );

after( close );

await import( './tickets.mjs' );
await import( './conflict.mjs' );
await import( './history.mjs' );
await import( './operations.mjs' );
await import( './form.mjs' );
await import( './layout.mjs' );
await import( './outage.mjs' );
