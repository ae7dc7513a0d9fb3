// Steps in a ticket's life in Awesome Support, each a request of its own. Arguments: the step, the ticket's id, the agent's number.
// Prints the ticket's id and how many statements PHP has sent: all that write, those of them on wp_postmeta, and SELECTs.

$step   = $argv[1];
$ticket = (int) $argv[2];
$counts = array( 'writes' => 0, 'postmeta' => 0, 'selects' => 0, 'statements' => array() );
add_filter( 'query', function ( $sql ) use ( &$counts ) {
	if ( preg_match( '/^\s*(INSERT|UPDATE|DELETE|REPLACE)\b/i', $sql ) ) {
		++$counts['writes'];
		if ( preg_match( '/^\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|REPLACE\s+INTO)\s+`?wp_postmeta\b/i', $sql ) ) {
			++$counts['postmeta'];
			$counts['statements'][] = substr( $sql, 0, 200 );
		}
	} elseif ( preg_match( '/^\s*SELECT\b/i', $sql ) ) {
		++$counts['selects'];
	}
	return $sql;
} );
$agent    = fn( $number ) => get_user_by( 'login', "agent$number" )->ID;
$customer = fn() => get_user_by( 'login', 'customer' )->ID;

switch ( $step ) {
	case 'setup':
		require_once WPAS_PATH . 'includes/install.php';
		wpas_single_activate();
		foreach ( array( 'agent1', 'agent2', 'agent3', 'agent4', 'agent5', 'customer' ) as $login ) {
			$id = wp_insert_user( array( 'user_login' => $login, 'user_pass' => 'x', 'user_email' => "$login@example.org", 'role' => 'customer' === $login ? 'wpas_user' : 'wpas_agent' ) );
			'customer' === $login || update_user_option( $id, 'wpas_can_be_assigned', 'yes' );
		}
		break;
	case 'open':
		wp_set_current_user( $customer() );
		$ticket = wpas_insert_ticket( array( 'post_title' => 'The printer is on fire', 'post_content' => 'What shall I do?' ) );
		break;
	case 'customer_reply':
		wp_set_current_user( $customer() );
		wpas_insert_reply( array( 'post_content' => 'It still burns.' ), $ticket );
		break;
	case 'agent_reply':
		wp_set_current_user( $agent( 1 ) );
		wpas_insert_reply( array( 'post_content' => 'Have you tried water?' ), $ticket );
		break;
	case 'state':
		wp_set_current_user( $agent( 1 ) );
		wpas_update_ticket_status( $ticket, 'processing' );
		break;
	case 'assign':
		wp_set_current_user( 1 );
		$has = (int) get_post_meta( $ticket, '_wpas_assignee', true );
		wpas_assign_ticket( $ticket, $agent( $has === $agent( 2 ) ? 3 : 2 ) );
		break;
	case 'close':
		wp_set_current_user( 1 );
		wpas_close_ticket( $ticket );
		break;
	case 'reopen':
		wp_set_current_user( 1 );
		wpas_reopen_ticket( $ticket );
		break;
}
$counts['ticket'] = $ticket;
$counts['status'] = (string) get_post_meta( $ticket, '_wpas_status', true );
echo "\n", json_encode( $counts ), "\n";
