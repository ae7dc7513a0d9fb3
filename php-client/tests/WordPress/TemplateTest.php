<?php
/**
 * The translators' template.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use PHPUnit\Framework\TestCase;

/**
 * What the template has of the texts.
 */
final class TemplateTest extends TestCase {

	/**
	 * Texts are in the template as they are in the code, also where they have other characters than ASCII: a text
	 * that was cut would stay untranslated.
	 */
	public function test_characters(): void {
		$plugin   = dirname( __DIR__, 2 ) . '/ticketd';
		$template = file_get_contents( $plugin . '/languages/ticketd.pot' );
		$files    = new \RecursiveIteratorIterator( new \RecursiveDirectoryIterator( $plugin . '/src' ) );
		$texts    = array();
		foreach ( $files as $file ) {
			if ( 'php' === $file->getExtension() ) {
				$found = preg_match_all( "/__\( '([^']*[\x80-\xff][^']*)', 'ticketd' \)/", file_get_contents( (string) $file ), $match );
				array_push( $texts, ...( $found > 0 ? $match[1] : array() ) );
			}
		}
		$this->assertContains( 'Flushing …', $texts );
		foreach ( $texts as $text ) {
			$this->assertStringContainsString( 'msgid "' . $text . '"', $template );
		}
	}
}
