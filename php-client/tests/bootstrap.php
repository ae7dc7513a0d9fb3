<?php
/**
 * Loads what the tests need.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests;

require __DIR__ . '/../ticketd/src/autoload.php';

spl_autoload_register(
	static function ( string $name ): void {
		$file = __DIR__ . strtr( substr( $name, strlen( __NAMESPACE__ ) ), '\\', '/' ) . '.php';
		if ( 0 === strncmp( $name, __NAMESPACE__ . '\\', strlen( __NAMESPACE__ ) + 1 ) && is_file( $file ) ) {
			require $file;
		}
	}
);

require __DIR__ . '/Support/wordpress.php';
