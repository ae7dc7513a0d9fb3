<?php
/**
 * A process of WordPress that does one step a line: a call of the meta API, a query, a transaction. It answers what the
 * step returned, which actions fired with which arguments, what PHP complained of, and what each reader then sees.
 *
 * Arguments: WordPress' folder. A step is a JSON object; values and keys are numbers, for PHP's types do not survive JSON.
 */

$_SERVER['HTTP_HOST'] = 'localhost';
require $argv[1] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/post.php';

register_post_type( 'ticket', array( 'public' => true, 'supports' => array( 'title', 'custom-fields' ) ) );
register_post_meta( 'ticket', '_wpas_note', array(
	'single'            => true,
	'type'              => 'string',
	'default'           => 'nothing',
	'sanitize_callback' => fn( $value ) => is_string( $value ) ? str_replace( '!', '', $value ) : $value,
) );
wp_set_current_user( 1 );

/** An object whose private property is serialized with its zero bytes. */
final class Meta_Thing {
	private $inside = 'kept';
}

const KEYS = array( '_wpas_status', '_wpas_note', '_other', '_WPAS_STATUS' );

/** A value by its number. */
function value_of( int $number ) {
	$values = array(
		'open', 'closed', 'Open', '', true, false, 7, '7', 0.1, 1e25, null, array( 'a' => 1 ), array(), new Meta_Thing(), 'a:0:{}',
		"O\\'Brien", 'ü€', '😀', "bad\xff", 'open ', 'loud!', 0, '0', '_wpas_status', "it's \\\\ \"quoted\" %s", array( 'deep' => array( true, null, 1.5 ) ),
	);
	return $values[ $number % count( $values ) ];
}

$seen     = array(); // actions
$warnings = array();
set_error_handler( function ( $level, $text ) use ( &$warnings ) {
	if ( 0 !== ( error_reporting() & $level ) ) {
		$warnings[] = $text;
	}
	return true;
} );
$rows_of = fn( $arg ) => is_array( $arg ) ? array_fill( 0, count( $arg ), 'row' ) : 'row';
foreach ( array( 'add_post_meta', 'added_post_meta', 'update_post_meta', 'updated_post_meta', 'update_postmeta', 'updated_postmeta', 'delete_post_meta', 'deleted_post_meta', 'delete_postmeta', 'deleted_postmeta' ) as $hook ) {
	add_action( $hook, function ( ...$args ) use ( $hook, &$seen, $rows_of ) {
		if ( 'add_post_meta' !== $hook ) {
			$args[0] = $rows_of( $args[0] ); // The id of a row differs between two databases, and is 0 before the flush.
		}
		$seen[] = array( $hook, array_map( 'readable', $args ) );
	}, 10, 4 );
}

/** A value as JSON can tell it from others. */
function readable( $value ) {
	if ( is_object( $value ) || is_array( $value ) ) {
		return 'serialized ' . bin2hex( serialize( $value ) );
	}
	if ( is_string( $value ) ) {
		return 'string ' . ( preg_match( '//u', $value ) ? $value : bin2hex( $value ) );
	}
	if ( is_int( $value ) && $value > 1700000000 ) {
		return 'a time'; // Of the trash.
	}
	return gettype( $value ) . ' ' . var_export( $value, true );
}

/** What all readers see of a post. */
function readers( int $id ): array {
	$all = get_post_meta( $id );
	is_array( $all ) && ksort( $all );
	$keys = get_post_custom_keys( $id );
	is_array( $keys ) && sort( $keys );
	$read = array( 'all' => readable( $all ), 'keys' => readable( $keys ) );
	foreach ( KEYS as $key ) {
		$read[ $key ] = array(
			readable( get_post_meta( $id, $key, true ) ),
			readable( get_post_meta( $id, $key ) ),
			metadata_exists( 'post', $id, $key ),
		);
	}
	return $read;
}

/** The first row's id. */
function row_of( int $id, string $key ): int {
	global $wpdb;
	return (int) $wpdb->get_var( $wpdb->prepare( "SELECT meta_id FROM $wpdb->postmeta WHERE post_id = %d AND meta_key = %s ORDER BY meta_id LIMIT 1", $id, $key ) );
}

/** Posts that a meta query finds. */
function found( array $ids, string $key, $value, bool $is_plain ): array {
	$query = array( 'post_type' => 'any', 'post_status' => 'any', 'post__in' => $ids, 'fields' => 'ids', 'posts_per_page' => -1, 'orderby' => 'ID', 'meta_key' => $key );
	if ( is_string( $value ) ) {
		$query['meta_value'] = $value;
	}
	return $is_plain ? get_posts( $query ) : ( new WP_Query( $query ) )->posts;
}

/** Does a step. */
function step( array $step ) {
	global $wpdb;
	list( $do, $id ) = array( $step['do'], $step['id'] ?? 0 );
	$key   = KEYS[ $step['key'] ?? 0 ];
	$value = value_of( $step['value'] ?? 0 );
	$prev  = value_of( $step['prev'] ?? 0 );
	switch ( $do ) {
		case 'posts':
			foreach ( $step['ids'] as $place => $post ) {
				wp_insert_post( array( 'import_id' => $post, 'post_title' => "Post $post", 'post_status' => 'publish', 'post_type' => $place < 2 ? 'ticket' : 'post' ) );
			}
			return $step['ids'];
		case 'add':
			return (bool) add_post_meta( $id, $key, $value );
		case 'add_unique':
			return (bool) add_post_meta( $id, $key, $value, true );
		case 'update':
			return (bool) update_post_meta( $id, $key, $value );
		case 'update_prev':
			return (bool) update_post_meta( $id, $key, $value, $prev );
		case 'delete':
			return delete_post_meta( $id, $key );
		case 'delete_value':
			return delete_post_meta( $id, $key, $value );
		case 'delete_by_key':
			return delete_post_meta_by_key( $key );
		case 'mid_get':
			$row = get_metadata_by_mid( 'post', row_of( $id, $key ) );
			return $row ? array( $row->post_id, $row->meta_key, readable( $row->meta_value ) ) : $row;
		case 'mid_update':
			return update_metadata_by_mid( 'post', row_of( $id, $key ), $value );
		case 'mid_delete':
			return delete_metadata_by_mid( 'post', row_of( $id, $key ) );
		case 'query':
			return found( $step['ids'], $key, $value, false );
		case 'get_posts':
			return found( $step['ids'], $key, $value, true );
		case 'select':
			return $wpdb->get_results( $wpdb->prepare( "SELECT post_id, meta_value FROM $wpdb->postmeta WHERE meta_key = %s AND post_id IN (" . implode( ',', $step['ids'] ) . ') ORDER BY post_id, meta_value', $key ), ARRAY_A );
		case 'select_like':
			return $wpdb->get_results( "SELECT post_id, meta_key, meta_value FROM $wpdb->postmeta WHERE meta_key LIKE '%wpas%' AND post_id IN (" . implode( ',', $step['ids'] ) . ') ORDER BY post_id, meta_key, meta_value', ARRAY_A );
		case 'sql_update':
			$count = $wpdb->query( $wpdb->prepare( "UPDATE $wpdb->postmeta SET meta_value = 'by sql' WHERE post_id = %d AND meta_key = %s", $id, $key ) );
			wp_cache_delete( $id, 'post_meta' );
			return $count;
		case 'meta_input':
			return wp_update_post( array( 'ID' => $id, 'post_title' => 'again', 'meta_input' => array( $key => $value ) ) );
		case 'trash':
			return array( (bool) wp_trash_post( $id ), (bool) wp_untrash_post( $id ) );
		case 'remove':
			return (bool) wp_delete_post( $id, true );
		case 'rollback':
		case 'commit':
			$wpdb->query( 'START TRANSACTION' );
			$done = array( update_post_meta( $id, $key, $value ), readable( get_post_meta( $id, $key, true ) ) );
			$wpdb->query( 'commit' === $do ? 'COMMIT' : 'ROLLBACK' );
			wp_cache_delete( $id, 'post_meta' ); // WordPress itself keeps what was read in a transaction that was rolled back.
			$done[0] = (bool) $done[0];
			return $done;
		case 'flush':
			return function_exists( 'ticketd_flush' ) ? \Ticketd\WordPress\Meta\Adapter::instance()->flush( 'post' ) : true;
		case 'begin':
			if ( ! wp_using_ext_object_cache() ) {
				wp_cache_flush();
			}
			class_exists( '\Ticketd\WordPress\Meta\Adapter' ) && \Ticketd\WordPress\Meta\Adapter::instance()->use_client( null );
			return null;
		case 'eval':
			return eval( $step['code'] );
		default:
			return 'no such step: ' . $do;
	}
}

for ( $line = fgets( STDIN ); false !== $line; $line = fgets( STDIN ) ) {
	$step     = json_decode( $line, true );
	$seen     = array();
	$warnings = array();
	try {
		$answer = array( 'returned' => step( $step ) );
	} catch ( Throwable $thrown ) {
		$answer = array( 'thrown' => get_class( $thrown ) . ': ' . $thrown->getMessage() . ' in ' . $thrown->getFile() . ':' . $thrown->getLine() );
	}
	if ( 'remove' === $step['do'] ) {
		sort( $seen ); // WordPress deletes the rows in the order of their ids.
	}
	$answer += array( 'actions' => $seen, 'warnings' => $warnings );
	foreach ( $step['read'] ?? array() as $id ) {
		$answer['read'][ $id ] = readers( $id );
	}
	$answer['warned_while_reading'] = $warnings;
	echo json_encode( $answer, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE ), "\n";
}
