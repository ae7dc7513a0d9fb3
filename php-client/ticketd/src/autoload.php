<?php
/**
 * Loads the plugin's classes when they are first used.
 *
 * The client works without WordPress: requiring this file is all it needs.
 *
 * @package Ticketd
 */

namespace Ticketd;

spl_autoload_register(
	static function ( string $name ): void {
		if ( 0 === strncmp( $name, __NAMESPACE__ . '\\', strlen( __NAMESPACE__ ) + 1 ) ) {
			$file = __DIR__ . '/' . strtr( substr( $name, strlen( __NAMESPACE__ ) + 1 ), '\\', '/' ) . '.php';
			// To look first whether there is such a file takes as long as to load it; HotPathTest counts the files.
			@include $file;
		}
	}
);
