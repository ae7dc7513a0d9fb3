<?php
/**
 * The order of a comparison.
 *
 * @package Ticketd
 */

namespace Ticketd\Sniffs\Conditions;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;
use PHP_CodeSniffer\Util\Tokens;

/**
 * A variable is compared with a literal from the right, as WordPress wants.
 */
final class YodaSniff implements Sniff {

	/** What a comparison with a literal has on its right. */
	private const LITERALS = array( T_CONSTANT_ENCAPSED_STRING, T_LNUMBER, T_DNUMBER, T_TRUE, T_FALSE, T_NULL );

	/** What ends a variable on its left. */
	private const VARIABLES = array( T_VARIABLE, T_CLOSE_SQUARE_BRACKET );

	/**
	 * The tokens to look at.
	 */
	public function register(): array {
		return array( T_IS_EQUAL, T_IS_NOT_EQUAL, T_IS_IDENTICAL, T_IS_NOT_IDENTICAL );
	}

	/**
	 * Looks at a comparison.
	 *
	 * @param File $file     The file.
	 * @param int  $position Where in it the operator is.
	 */
	public function process( File $file, $position ): void {
		$tokens = $file->getTokens();
		$left   = $file->findPrevious( Tokens::$emptyTokens, $position - 1, null, true );
		$right  = $file->findNext( Tokens::$emptyTokens, $position + 1, null, true );
		if ( in_array( $tokens[ $left ]['code'], self::VARIABLES, true )
			&& in_array( $tokens[ $right ]['code'], self::LITERALS, true )
		) {
			$file->addError( 'The literal stands before the variable', $position, 'NotYoda' );
		}
	}
}
