<?php
/**
 * Plugin Name: Support
 *
 * A support plugin as its developer writes it after the guide: ticket metadata in a hash of Redis for each ticket, one
 * connection for each request, and a page that shows a ticket. SUPPORT_REDIS_SOCKET and SUPPORT_REDIS_DB say where.
 */

// --- functions ---

function my_support_plugin_get_redis_connection() {
	static $redis = null;
	if ( null !== $redis ) {
		return $redis;
	}
	try {
		$redis = new \Redis();
		$redis->connect( SUPPORT_REDIS_SOCKET );
		if ( defined( 'SUPPORT_REDIS_PASSWORD' ) ) {
			$redis->auth( SUPPORT_REDIS_PASSWORD );
		}
		$redis->select( SUPPORT_REDIS_DB );
		return $redis;
	} catch ( \RedisException $e ) {
		error_log( 'Redis connection failed: ' . $e->getMessage() );
		$redis = null;
		return false;
	}
}

function my_support_plugin_write_ticket_metadata( int $ticket_id, array $metadata ): bool {
	$redis = my_support_plugin_get_redis_connection();
	if ( ! $redis ) {
		return false;
	}
	try {
		return false !== $redis->hMSet( "ticket:{$ticket_id}", $metadata );
	} catch ( \RedisException $e ) {
		error_log( "Failed to write metadata of ticket {$ticket_id}: " . $e->getMessage() );
		return false;
	}
}

function my_support_plugin_update_ticket_metadata_field( int $ticket_id, string $field, $value ): bool {
	$redis = my_support_plugin_get_redis_connection();
	if ( ! $redis ) {
		return false;
	}
	try {
		return false !== $redis->hSet( "ticket:{$ticket_id}", $field, $value );
	} catch ( \RedisException $e ) {
		error_log( "Failed to update {$field} of ticket {$ticket_id}: " . $e->getMessage() );
		return false;
	}
}

function my_support_plugin_get_ticket_metadata( int $ticket_id ) {
	$redis = my_support_plugin_get_redis_connection();
	if ( ! $redis ) {
		return false;
	}
	try {
		$metadata = $redis->hGetAll( "ticket:{$ticket_id}" );
	} catch ( \RedisException $e ) {
		error_log( "Failed to read metadata of ticket {$ticket_id}: " . $e->getMessage() );
		return false;
	}
	if ( ! $metadata ) {
		return false;
	}
	foreach ( array( 'customer_id', 'created_at', 'updated_at' ) as $name ) {
		if ( isset( $metadata[ $name ] ) ) {
			$metadata[ $name ] = (int) $metadata[ $name ];
		}
	}
	return $metadata;
}

// --- page ---

add_action(
	'init',
	function () {
		if ( ! isset( $_GET['support_ticket'] ) ) {
			return;
		}
		$id       = (int) $_GET['support_ticket'];
		$metadata = my_support_plugin_get_ticket_metadata( $id );
		if ( false === $metadata ) {
			status_header( 404 );
			exit( 'No such ticket.' );
		}
		if ( isset( $_GET['status'] ) ) {
			my_support_plugin_update_ticket_metadata_field( $id, 'status', $_GET['status'] );
			$metadata = my_support_plugin_get_ticket_metadata( $id );
		}
		printf(
			"<h1>%s</h1>\nTicket %d of customer %d, %s since %s, category %s, order %s\n",
			esc_html( $metadata['subject'] ?? '' ),
			$id,
			$metadata['customer_id'] ?? 0,
			esc_html( $metadata['status'] ?? 'open' ),
			esc_html( gmdate( 'j F Y H:i:s', $metadata['created_at'] ?? 0 ) ),
			esc_html( $metadata['category'] ?? 'none' ),
			esc_html( $metadata['order_id'] ?? 'none' )
		);
		exit;
	}
);
