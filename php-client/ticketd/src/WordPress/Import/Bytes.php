<?php
/**
 * The bytes of a file to import.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * Reads a file, or STDIN, once from its beginning to its end, and converts it to UTF-8. Needs no extension.
 */
final class Bytes {

	/** STDIN as a path. */
	public const STDIN = 'php://stdin';

	/** The encodings that are read. */
	public const ENCODINGS = array( 'utf-8', 'utf-16le', 'utf-16be', 'windows-1252', 'iso-8859-1', 'iso-8859-15' );

	/** Bytes that are read at a time. */
	private const CHUNK = 65536;

	/** Bytes that are known before the first are converted: more than a byte order mark and the line `sep=;` have. */
	private const HEAD = 64;

	/** What a file begins with that names its encoding, the longest first. */
	private const MARKS = array(
		"\xFF\xFE\x00\x00" => 'utf-32',
		"\x00\x00\xFE\xFF" => 'utf-32',
		"\xEF\xBB\xBF"     => 'utf-8',
		"\xFF\xFE"         => 'utf-16le',
		"\xFE\xFF"         => 'utf-16be',
	);

	/** The characters of Windows-1252 from 0x80 to 0x9F; a space stands for a byte that it does not have. */
	private const WINDOWS = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ';

	/** The characters in which ISO-8859-15 differs from ISO-8859-1. */
	private const LATIN9 = array(
		0xA4 => '€',
		0xA6 => 'Š',
		0xA8 => 'š',
		0xB4 => 'Ž',
		0xB8 => 'ž',
		0xBC => 'Œ',
		0xBD => 'œ',
		0xBE => 'Ÿ',
	);

	/**
	 * The file.
	 *
	 * @var \SplFileObject
	 */
	private \SplFileObject $file;

	/**
	 * The encoding.
	 *
	 * @var string
	 */
	private string $encoding;

	/**
	 * Bytes read so far.
	 *
	 * @var int
	 */
	private int $count = 0;

	/**
	 * Opens the file.
	 *
	 * @param string $path     Its path.
	 * @param string $encoding Its encoding; a byte order mark replaces it. Empty: UTF-8.
	 * @throws ImportException If the file cannot be read, or the encoding is not known.
	 */
	public function __construct( string $path, string $encoding ) {
		$this->encoding = strtolower( '' === $encoding ? 'utf-8' : $encoding );
		if ( ! in_array( $this->encoding, self::ENCODINGS, true ) ) {
			/* translators: 1: name of an encoding, 2: names of encodings */
			$text = __( 'The encoding %1$s is not known; there are: %2$s. Convert the file with iconv.', 'ticketd' );
			throw new ImportException( sprintf( $text, $encoding, implode( ', ', self::ENCODINGS ) ) );
		}
		if ( self::STDIN !== $path && ( ! is_file( $path ) || ! is_readable( $path ) ) ) {
			/* translators: %s: path of a file */
			throw new ImportException( sprintf( __( 'There is no file %s that can be read.', 'ticketd' ), $path ) );
		}
		$this->file = new \SplFileObject( $path );
	}

	/**
	 * How much has been read, in percent; null for STDIN, whose size is not known.
	 */
	public function percent(): ?int {
		$size = self::STDIN === $this->file->getPathname() ? 0 : (int) $this->file->getSize();
		return 0 === $size ? null : min( 100, intdiv( $this->count * 100, $size ) );
	}

	/**
	 * Reads the file.
	 *
	 * @return \Generator<string> Pieces of text in UTF-8, without a byte order mark.
	 */
	public function text(): \Generator {
		$bytes = $this->unmarked( $this->head() );
		while ( '' !== $bytes || ! $this->file->eof() ) {
			$next = $this->read();
			$end  = '' === $next && $this->file->eof();
			$cut  = $end ? strlen( $bytes ) : $this->whole( $bytes );
			if ( $cut > 0 ) {
				yield $this->converted( substr( $bytes, 0, $cut ) );
			}
			$bytes = substr( $bytes, $cut ) . $next;
		}
	}

	/**
	 * Reads the next bytes.
	 *
	 * @return string The bytes, at least one before the end.
	 */
	private function read(): string {
		$bytes        = $this->file->eof() ? '' : (string) $this->file->fread( self::CHUNK );
		$this->count += strlen( $bytes );
		return $bytes;
	}

	/**
	 * The first bytes: a pipe gives as few as it likes at a time.
	 */
	private function head(): string {
		$bytes = '';
		do {
			$bytes    .= $this->read();
			$is_enough = strlen( $bytes ) >= self::HEAD || $this->file->eof();
		} while ( ! $is_enough );
		return $bytes;
	}

	/**
	 * The first bytes without the byte order mark, which decides the encoding.
	 *
	 * @param string $bytes The first bytes.
	 * @throws ImportException If the encoding is another than those that are read.
	 */
	private function unmarked( string $bytes ): string {
		foreach ( self::MARKS as $mark => $encoding ) {
			if ( 0 !== strncmp( $bytes, $mark, strlen( $mark ) ) ) {
				continue;
			}
			if ( 'utf-32' === $encoding ) {
				throw new ImportException( __( 'The file is in UTF-32: convert it with iconv to UTF-8.', 'ticketd' ) );
			}
			$this->encoding = $encoding;
			return substr( $bytes, strlen( $mark ) );
		}
		if ( 'utf-8' === $this->encoding && false !== strpos( $bytes, "\0" ) ) {
			/* translators: %s: name of an encoding */
			$text = __( 'The file has bytes of zero and is no UTF-8: it may be in --encoding=%s.', 'ticketd' );
			throw new ImportException( sprintf( $text, "\0" === $bytes[0] ? 'utf-16be' : 'utf-16le' ) );
		}
		return $bytes;
	}

	/**
	 * The length of the characters that are whole in bytes in UTF-16, whose rest is not read yet. Other encodings are
	 * converted byte by byte.
	 *
	 * @param string $bytes The bytes.
	 */
	private function whole( string $bytes ): int {
		$size = strlen( $bytes );
		if ( ! $this->is_wide() ) {
			return $size;
		}
		$size -= $size % 2;
		if ( $size > 0 ) {
			$last = ord( $bytes[ 'utf-16be' === $this->encoding ? $size - 2 : $size - 1 ] );
			if ( 0xD8 === ( $last & 0xFC ) ) { // The first half of a pair.
				$size -= 2;
			}
		}
		return $size;
	}

	/**
	 * Whether a character has two bytes or four.
	 */
	private function is_wide(): bool {
		return 0 === strncmp( $this->encoding, 'utf-16', 6 );
	}

	/**
	 * Converts whole characters. Of UTF-8 each row is checked for itself.
	 *
	 * @param string $bytes The bytes.
	 * @throws ImportException If they are not in the encoding.
	 */
	private function converted( string $bytes ): string {
		if ( 'utf-8' === $this->encoding ) {
			return $bytes;
		}
		$text = $this->is_wide() ? self::narrowed( $bytes, $this->encoding ) : self::widened( $bytes, $this->encoding );
		if ( null === $text ) {
			/* translators: 1: a number of bytes, 2: name of an encoding */
			$text = __( 'Within the first %1$d bytes the file is not in %2$s.', 'ticketd' );
			throw new ImportException( sprintf( $text, $this->count, $this->encoding ) );
		}
		return $text;
	}

	/**
	 * Converts UTF-16. JSON writes a character of UTF-16 as its number.
	 *
	 * @param string $bytes    The bytes.
	 * @param string $encoding Which of the two forms it is.
	 * @return string|null Null where they are no UTF-16.
	 */
	private static function narrowed( string $bytes, string $encoding ): ?string {
		if ( 0 !== strlen( $bytes ) % 2 ) {
			return null;
		}
		$units = 'utf-16le' === $encoding ? pack( 'n*', ...unpack( 'v*', $bytes ) ) : $bytes;
		$text  = json_decode( '"\u' . implode( '\u', str_split( bin2hex( $units ), 4 ) ) . '"' );
		return is_string( $text ) ? $text : null;
	}

	/**
	 * Converts an encoding of one byte for a character.
	 *
	 * @param string $bytes    The bytes.
	 * @param string $encoding The encoding.
	 * @return string|null Null where the encoding does not have a byte.
	 */
	private static function widened( string $bytes, string $encoding ): ?string {
		$text = strtr( $bytes, self::characters( $encoding ) );
		return false === strpos( $text, "\u{FFFD}" ) ? $text : null;
	}

	/**
	 * The characters of an encoding of one byte for a character, from 0x80 on; U+FFFD for what it does not have.
	 *
	 * @param string $encoding The encoding.
	 * @return array<string, string> Characters by byte.
	 */
	private static function characters( string $encoding ): array {
		static $known = array();
		if ( isset( $known[ $encoding ] ) ) {
			return $known[ $encoding ];
		}
		$windows = preg_split( '//u', self::WINDOWS, -1, PREG_SPLIT_NO_EMPTY );
		$all     = array();
		for ( $byte = 0x80; $byte <= 0xFF; ++$byte ) {
			$character = chr( 0xC0 | $byte >> 6 ) . chr( 0x80 | $byte & 0x3F );
			if ( 'windows-1252' === $encoding && $byte < 0xA0 ) {
				$character = ' ' === $windows[ $byte - 0x80 ] ? "\u{FFFD}" : $windows[ $byte - 0x80 ];
			} elseif ( 'iso-8859-15' === $encoding ) {
				$character = self::LATIN9[ $byte ] ?? $character;
			}
			$all[ chr( $byte ) ] = $character;
		}
		$known[ $encoding ] = $all;
		return $all;
	}
}
