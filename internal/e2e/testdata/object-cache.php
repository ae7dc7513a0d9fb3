<?php
/**
 * A persistent object cache for tests: a file for each entry in wp-content/shared-cache, so that all processes of a site
 * share it. Nothing is kept in memory.
 */

defined( 'ABSPATH' ) || exit;

/** The entries. */
final class WP_Object_Cache {
	private $folder;
	private $own_groups = array(); // groups that are no other process' business
	private $own        = array();

	public function __construct() {
		$this->folder = WP_CONTENT_DIR . '/shared-cache';
		is_dir( $this->folder ) || mkdir( $this->folder, 0700, true );
	}

	private function path( $key, $group ): string {
		return $this->folder . '/' . md5( ( $group ?: 'default' ) . "\n" . $key );
	}

	public function keep_own( $groups ): void {
		$this->own_groups += array_flip( (array) $groups );
	}

	public function get( $key, $group, &$found = null ) {
		if ( isset( $this->own_groups[ $group ] ) ) {
			$found = isset( $this->own[ $group ][ $key ] );
			return $found ? unserialize( $this->own[ $group ][ $key ] ) : false;
		}
		$text  = @file_get_contents( $this->path( $key, $group ) );
		$found = is_string( $text ) && '' !== $text;
		return $found ? unserialize( $text ) : false;
	}

	public function set( $key, $value, $group ): bool {
		if ( isset( $this->own_groups[ $group ] ) ) {
			$this->own[ $group ][ $key ] = serialize( $value );
			return true;
		}
		$path = $this->path( $key, $group );
		$new  = $path . '.' . getmypid();
		file_put_contents( $new, serialize( $value ) );
		return rename( $new, $path );
	}

	public function add( $key, $value, $group ): bool {
		if ( wp_suspend_cache_addition() ) {
			return false;
		}
		if ( isset( $this->own_groups[ $group ] ) ) {
			return ! isset( $this->own[ $group ][ $key ] ) && $this->set( $key, $value, $group );
		}
		$path = $this->path( $key, $group );
		$new  = $path . '.' . getmypid();
		file_put_contents( $new, serialize( $value ) );
		$done = @link( $new, $path ); // Fails where there is one.
		unlink( $new );
		return $done;
	}

	public function delete( $key, $group ): bool {
		if ( isset( $this->own_groups[ $group ] ) ) {
			$had = isset( $this->own[ $group ][ $key ] );
			unset( $this->own[ $group ][ $key ] );
			return $had;
		}
		return @unlink( $this->path( $key, $group ) );
	}

	public function flush(): bool {
		$this->own = array();
		array_map( 'unlink', glob( $this->folder . '/*' ) );
		return true;
	}

	public function forget_own(): bool {
		$this->own = array();
		return true;
	}
}

function wp_cache_init() {
	$GLOBALS['wp_object_cache'] = new WP_Object_Cache();
}
function wp_cache_add( $key, $data, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->add( $key, $data, $group );
}
function wp_cache_add_multiple( array $data, $group = '', $expire = 0 ) {
	$done = array();
	foreach ( $data as $key => $value ) {
		$done[ $key ] = wp_cache_add( $key, $value, $group );
	}
	return $done;
}
function wp_cache_set( $key, $data, $group = '', $expire = 0 ) {
	return $GLOBALS['wp_object_cache']->set( $key, $data, $group );
}
function wp_cache_set_multiple( array $data, $group = '', $expire = 0 ) {
	$done = array();
	foreach ( $data as $key => $value ) {
		$done[ $key ] = wp_cache_set( $key, $value, $group );
	}
	return $done;
}
function wp_cache_replace( $key, $data, $group = '', $expire = 0 ) {
	wp_cache_get( $key, $group, false, $found );
	return $found && wp_cache_set( $key, $data, $group );
}
function wp_cache_get( $key, $group = '', $force = false, &$found = null ) {
	return $GLOBALS['wp_object_cache']->get( $key, $group, $found );
}
function wp_cache_get_multiple( $keys, $group = '', $force = false ) {
	$values = array();
	foreach ( $keys as $key ) {
		$values[ $key ] = wp_cache_get( $key, $group );
	}
	return $values;
}
function wp_cache_delete( $key, $group = '' ) {
	return $GLOBALS['wp_object_cache']->delete( $key, $group );
}
function wp_cache_delete_multiple( array $keys, $group = '' ) {
	$done = array();
	foreach ( $keys as $key ) {
		$done[ $key ] = wp_cache_delete( $key, $group );
	}
	return $done;
}
function wp_cache_incr( $key, $offset = 1, $group = '' ) {
	$value = wp_cache_get( $key, $group, false, $found );
	$value = max( 0, (int) $value + $offset );
	return $found && wp_cache_set( $key, $value, $group ) ? $value : false;
}
function wp_cache_decr( $key, $offset = 1, $group = '' ) {
	return wp_cache_incr( $key, -$offset, $group );
}
function wp_cache_flush() {
	return $GLOBALS['wp_object_cache']->flush();
}
function wp_cache_flush_runtime() {
	return $GLOBALS['wp_object_cache']->forget_own();
}
function wp_cache_supports( $feature ) {
	return in_array( $feature, array( 'add_multiple', 'set_multiple', 'get_multiple', 'delete_multiple', 'flush_runtime' ), true );
}
function wp_cache_add_global_groups( $groups ) {}
function wp_cache_add_non_persistent_groups( $groups ) {
	$GLOBALS['wp_object_cache']->keep_own( $groups );
}
function wp_cache_switch_to_blog( $blog_id ) {}
function wp_cache_close() {
	return true;
}
