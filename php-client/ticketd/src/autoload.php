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
		if ( Client\Client::class === $name ) {
			// Every call uses all of these. To look each up here takes five times as long as to load it from opcache.
			require_once __DIR__ . '/Client/Protocol.php';
			require_once __DIR__ . '/Client/Codec.php';
			require_once __DIR__ . '/Client/ExtCodec.php';
			require_once __DIR__ . '/Client/Request.php';
			require_once __DIR__ . '/Client/Result.php';
			require_once __DIR__ . '/Client/Deadline.php';
			require_once __DIR__ . '/Client/Connection.php';
			require_once __DIR__ . '/Client/Breaker.php';
			require_once __DIR__ . '/Client/Caller.php';
			require_once __DIR__ . '/Client/ClientInterface.php';
			require_once __DIR__ . '/Client/Client.php';
		} elseif ( 0 === strncmp( $name, __NAMESPACE__ . '\\', strlen( __NAMESPACE__ ) + 1 ) ) {
			$file = __DIR__ . '/' . strtr( substr( $name, strlen( __NAMESPACE__ ) + 1 ), '\\', '/' ) . '.php';
			// To look first whether there is such a file takes as long as to load it.
			@include $file;
		}
	}
);
