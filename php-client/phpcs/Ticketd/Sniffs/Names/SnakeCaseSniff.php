<?php
/**
 * Names of functions.
 *
 * @package Ticketd
 */

namespace Ticketd\Sniffs\Names;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;

/**
 * Functions and methods are named in snake_case, like WordPress' own. PHP_CodeSniffer has no sniff for that.
 */
final class SnakeCaseSniff implements Sniff {

	/** Names that PHPUnit gives. */
	private const INHERITED = array( 'setUp', 'tearDown' );

	/**
	 * The tokens to look at.
	 */
	public function register(): array {
		return array( T_FUNCTION );
	}

	/**
	 * Looks at a function.
	 *
	 * @param File $file     The file.
	 * @param int  $position Where in it the function is.
	 */
	public function process( File $file, $position ): void {
		$name = (string) $file->getDeclarationName( $position );
		if ( 1 === preg_match( '/[A-Z]/', $name ) && ! in_array( $name, self::INHERITED, true ) ) {
			$file->addError( 'The function %s is not named in snake_case', $position, 'NotSnakeCase', array( $name ) );
		}
	}
}
