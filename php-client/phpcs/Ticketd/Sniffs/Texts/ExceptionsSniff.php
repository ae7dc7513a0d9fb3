<?php
/**
 * Texts of exceptions.
 *
 * @package Ticketd
 */

namespace Ticketd\Sniffs\Texts;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;

/**
 * Plugin Check wants the values in an exception escaped. This plugin's exceptions are plain text, so a file that throws one with
 * values turns that rule off, and says so.
 */
final class ExceptionsSniff implements Sniff {

	/** The rule. */
	private const RULE = 'phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- ';

	/**
	 * The tokens to look at.
	 */
	public function register(): array {
		return array( T_THROW );
	}

	/**
	 * Looks at a throw.
	 *
	 * @param File $file     The file.
	 * @param int  $position Where in it the throw is.
	 */
	public function process( File $file, $position ): void {
		$tokens = $file->getTokens();
		$open   = $file->findNext( array( T_OPEN_PARENTHESIS, T_VARIABLE, T_SEMICOLON ), $position );
		if ( T_OPEN_PARENTHESIS !== $tokens[ $open ]['code'] || false !== strpos( $file->getTokensAsString( 0, $position ), self::RULE ) ) {
			return;
		}
		$values = array( T_VARIABLE, T_DOUBLE_COLON );
		if ( false !== $file->findNext( $values, $open, $tokens[ $open ]['parenthesis_closer'] ) ) {
			$file->addError( 'The top of the file has no // %s', $position, 'NotTurnedOff', array( self::RULE ) );
		}
	}
}
