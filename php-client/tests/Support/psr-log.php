<?php
/**
 * A stand-in for the interface of PSR-3, as far as the client uses it.
 *
 * @package Ticketd
 */

namespace Psr\Log;

if ( ! interface_exists( LoggerInterface::class ) ) {
	/**
	 * Takes messages.
	 */
	interface LoggerInterface {
		/**
		 * Something is wrong that the program copes with.
		 *
		 * @param string $message The message.
		 * @param array  $context The values of its placeholders, and more.
		 */
		public function warning( $message, array $context = array() );

		/**
		 * Something normal that is worth knowing.
		 *
		 * @param string $message The message.
		 * @param array  $context The values of its placeholders, and more.
		 */
		public function notice( $message, array $context = array() );
	}
}
