<?php
/**
 * Input of a request.
 *
 * @package Ticketd
 */

namespace Ticketd\Sniffs\Input;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;

/**
 * Input is looked at with isset(), or read without WordPress' slashes; the class Input does both for everybody else.
 */
final class SuperglobalsSniff implements Sniff {

	/** The variables that a request fills. */
	private const VARIABLES = array( '$_GET', '$_POST', '$_REQUEST', '$_COOKIE', '$_SERVER', '$_FILES' );

	/**
	 * The tokens to look at.
	 */
	public function register(): array {
		return array( T_VARIABLE );
	}

	/**
	 * Looks at a variable.
	 *
	 * @param File $file     The file.
	 * @param int  $position Where in it the variable is.
	 */
	public function process( File $file, $position ): void {
		$tokens = $file->getTokens();
		if ( ! in_array( $tokens[ $position ]['content'], self::VARIABLES, true ) ) {
			return;
		}
		foreach ( array_keys( $tokens[ $position ]['nested_parenthesis'] ?? array() ) as $open ) {
			if ( in_array( $tokens[ $open - 1 ]['content'], array( 'isset', 'wp_unslash' ), true ) ) {
				return;
			}
		}
		$file->addError( 'Read %s through the class Input', $position, 'Slashed', array( $tokens[ $position ]['content'] ) );
	}
}
