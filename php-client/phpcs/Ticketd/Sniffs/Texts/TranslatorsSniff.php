<?php
/**
 * Texts for translators.
 *
 * @package Ticketd
 */

namespace Ticketd\Sniffs\Texts;

use PHP_CodeSniffer\Files\File;
use PHP_CodeSniffer\Sniffs\Sniff;

/**
 * A text that is translated is one literal, and one with places for values has a comment for translators on the line above: the
 * tools that collect the texts see no others.
 */
final class TranslatorsSniff implements Sniff {

	/** The functions that translate, and how many texts each takes. */
	private const FUNCTIONS = array(
		'__'         => 1,
		'_x'         => 1,
		'_n'         => 2,
		'_nx'        => 2,
		'_n_noop'    => 2,
		'esc_html__' => 1,
		'esc_attr__' => 1,
		'esc_html_e' => 1,
		'esc_attr_e' => 1,
		'esc_html_x' => 1,
		'esc_attr_x' => 1,
	);

	/**
	 * The tokens to look at.
	 */
	public function register(): array {
		return array( T_STRING );
	}

	/**
	 * Looks at a name.
	 *
	 * @param File $file     The file.
	 * @param int  $position Where in it the name is.
	 */
	public function process( File $file, $position ): void {
		$tokens = $file->getTokens();
		$texts  = self::FUNCTIONS[ $tokens[ $position ]['content'] ] ?? 0;
		$at     = $position + 1;
		if ( 0 === $texts || T_OPEN_PARENTHESIS !== $tokens[ $at ]['code'] ) {
			return;
		}
		$has_places = false;
		for ( ; $texts > 0; $texts-- ) {
			$at  = $file->findNext( T_WHITESPACE, $at + 1, null, true );
			$end = $file->findNext( T_WHITESPACE, $at + 1, null, true );
			if ( T_CONSTANT_ENCAPSED_STRING !== $tokens[ $at ]['code'] || T_COMMA !== $tokens[ $end ]['code'] ) {
				$file->addError( 'A text that is translated is one literal', $at, 'NotOneLiteral' );
				return;
			}
			$has_places = $has_places || 1 === preg_match( '/%(?:\d+\$)?[sdf]/', $tokens[ $at ]['content'] );
			$at         = $end;
		}
		$comment = $file->findPrevious( T_COMMENT, $position - 1 );
		$line    = false === $comment ? 0 : $tokens[ $comment ]['line'];
		if ( $has_places && ( $tokens[ $position ]['line'] - 1 !== $line
			|| false === strpos( $tokens[ $comment ]['content'], 'translators: ' ) )
		) {
			$file->addError( 'The line above has no comment that begins with "translators: "', $position, 'NoComment' );
		}
	}
}
