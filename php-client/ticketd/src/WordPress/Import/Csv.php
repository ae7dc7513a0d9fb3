<?php
/**
 * A CSV file to import.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * Reads the records of a CSV file as they come: nothing is read twice, so the file may be a pipe.
 *
 * Lines end with LF, CR LF or CR. A value in quotes may have every character; a quote in it is doubled (RFC 4180).
 * Spreadsheets write `sep=;` as the first line: it names the delimiter and is no record.
 */
final class Csv {

	/** Delimiters by the names that can be typed. */
	private const NAMES = array(
		'tab'       => "\t",
		'\t'        => "\t",
		'comma'     => ',',
		'semicolon' => ';',
		'pipe'      => '|',
		'space'     => ' ',
	);

	/** Where in a record the next byte stands: where a value begins, in it, in quotes, behind quotes. */
	private const BEGINNING = 0;
	private const PLAIN     = 1;
	private const QUOTED    = 2;
	private const CLOSED    = 3;

	/** What is wrong with a record. */
	private const BEHIND_QUOTE = 1;
	private const NOT_CLOSED   = 2;

	/**
	 * The file.
	 *
	 * @var Bytes
	 */
	private Bytes $bytes;

	/**
	 * The delimiter; empty: what the file says, else a comma.
	 *
	 * @var string
	 */
	private string $delimiter;

	/**
	 * The records that are not read yet.
	 *
	 * @var \Generator
	 */
	private \Generator $records;

	/**
	 * The names of the columns.
	 *
	 * @var string[]
	 */
	private array $names;

	/**
	 * The values of the present record that are complete.
	 *
	 * @var string[]
	 */
	private array $values = array();

	/**
	 * The present value so far.
	 *
	 * @var string
	 */
	private string $value = '';

	/**
	 * Where the next byte stands.
	 *
	 * @var int
	 */
	private int $state = self::BEGINNING;

	/**
	 * What is wrong with the present record; 0: nothing.
	 *
	 * @var int
	 */
	private int $fault = 0;

	/**
	 * The first character that went on behind a closing quote; empty: none has.
	 *
	 * @var string
	 */
	private string $behind = '';

	/**
	 * Whether the present record has a value in quotes: it is no empty line.
	 *
	 * @var bool
	 */
	private bool $is_quoted = false;

	/**
	 * The line of the next byte.
	 *
	 * @var int
	 */
	private int $line = 1;

	/**
	 * The line on which the present record begins.
	 *
	 * @var int
	 */
	private int $begin = 1;

	/**
	 * Opens the file and reads the names of its columns.
	 *
	 * @param Bytes       $bytes     The file.
	 * @param string|null $delimiter The delimiter, or its name; null: what the file says, else a comma.
	 * @throws ImportException If there are no names that can be used.
	 */
	public function __construct( Bytes $bytes, ?string $delimiter ) {
		$this->bytes     = $bytes;
		$this->delimiter = null === $delimiter ? '' : self::delimiter( $delimiter );
		$this->records   = $this->records();
		$this->names     = $this->header();
	}

	/**
	 * The names of the columns.
	 *
	 * @return string[]
	 */
	public function names(): array {
		return $this->names;
	}

	/**
	 * Reads the rows.
	 *
	 * @return \Generator<int, array{0: string[], 1: string}> By line the values, and why they cannot be used; empty:
	 *         they can.
	 */
	public function rows(): \Generator {
		$this->records->next();
		while ( $this->records->valid() ) {
			list( $values, $fault ) = $this->records->current();
			yield $this->records->key() => array( $values, $this->fault_of( $values, $fault ) );
			$this->records->next();
		}
	}

	/**
	 * Why a row cannot be used.
	 *
	 * @param string[] $values Its values.
	 * @param int      $fault  What is wrong with it.
	 * @return string Empty: it can be used.
	 */
	private function fault_of( array $values, int $fault ): string {
		if ( self::BEHIND_QUOTE === $fault ) {
			return __( 'A value goes on behind its closing quote; write a quote within quotes twice.', 'ticketd' );
		}
		if ( self::NOT_CLOSED === $fault ) {
			return __( 'A quote is opened and not closed up to the end of the file.', 'ticketd' );
		}
		if ( count( $values ) !== count( $this->names ) ) {
			/* translators: 1: number of values, 2: number of values */
			$text = __( '%1$d values instead of %2$d.', 'ticketd' );
			return sprintf( $text, count( $values ), count( $this->names ) );
		}
		if ( 1 !== preg_match( '//u', implode( '', $values ) ) ) {
			return __( 'The line is not valid UTF-8: name the encoding, as in --encoding=windows-1252.', 'ticketd' );
		}
		return '';
	}

	/**
	 * The delimiter that a typed text stands for.
	 *
	 * @param string $text The text.
	 * @throws ImportException If it stands for none.
	 */
	private static function delimiter( string $text ): string {
		$delimiter = self::NAMES[ strtolower( $text ) ] ?? $text;
		if ( 1 !== strlen( $delimiter ) || false !== strpos( "\"\r\n\0", $delimiter ) || ord( $delimiter ) > 0x7F ) {
			/* translators: 1: the typed text, 2: names of characters */
			$text_of = __( '"%1$s" is no delimiter: give one character of ASCII, or a name: %2$s.', 'ticketd' );
			throw new ImportException( sprintf( $text_of, $text, 'tab, comma, semicolon, pipe, space' ) );
		}
		return $delimiter;
	}

	/**
	 * Reads the names of the columns.
	 *
	 * @return string[]
	 * @throws ImportException If there are none, or the line looks like something else.
	 */
	private function header(): array {
		if ( ! $this->records->valid() ) {
			throw new ImportException( __( 'The file is empty: the first line must name the columns.', 'ticketd' ) );
		}
		list( $names, $fault ) = $this->records->current();
		if ( self::BEHIND_QUOTE === $fault ) { // As in "id";"subject", where a comma is expected.
			self::refuse_delimiter( $this->delimiter, $this->behind );
		}
		if ( 0 !== $fault || 1 !== preg_match( '//u', implode( '', $names ) ) ) {
			$this->names = $names;
			/* translators: %s: a sentence */
			$text = __( 'The first line must name the columns. %s', 'ticketd' );
			throw new ImportException( sprintf( $text, $this->fault_of( $names, $fault ) ) );
		}
		$names = array_map( 'trim', $names );
		if ( 1 === count( $names ) ) {
			self::refuse_delimiter( $this->delimiter, $names[0] );
		}
		$given  = array_map( 'strtolower', array_filter( $names, 'strlen' ) );
		$double = array_diff_key( $given, array_unique( $given ) );
		if ( array() !== $double ) {
			/* translators: %s: names of columns */
			$text = __( 'The first line has a name twice: %s. Rename one of the two.', 'ticketd' );
			throw new ImportException( sprintf( $text, implode( ', ', array_intersect_key( $names, $double ) ) ) );
		}
		return $names;
	}

	/**
	 * Refuses a first line whose values another character separates.
	 *
	 * @param string $delimiter The delimiter.
	 * @param string $text      Text of the line that should have it.
	 * @throws ImportException If the text has another character that usually separates values.
	 */
	private static function refuse_delimiter( string $delimiter, string $text ): void {
		if ( 1 === preg_match( '/[;\t|,]/', $text, $found ) ) {
			/* translators: 1: a character, 2: a character or its name */
			$text_of = __( 'The first line has no "%1$s". Is another character the --delimiter, "%2$s"?', 'ticketd' );
			throw new ImportException( sprintf( $text_of, $delimiter, "\t" === $found[0] ? 'tab' : $found[0] ) );
		}
	}

	/**
	 * Reads the records.
	 *
	 * @return \Generator<int, array{0: string[], 1: int}> By line the values, and what is wrong with the record.
	 */
	private function records(): \Generator {
		$after_cr = false;
		foreach ( $this->bytes->text() as $number => $text ) {
			$at   = 0 === $number ? $this->skip_separator( $text ) : 0;
			$size = strlen( $text );
			while ( $at < $size ) {
				if ( $after_cr && "\n" === $text[ $at ] ) {
					++$at;
					$after_cr = false;
					continue;
				}
				$after_cr = false;
				$at       = $this->take( $text, $at );
				if ( $at === $size || self::QUOTED === $this->state || self::CLOSED === $this->state ) {
					continue;
				}
				if ( $text[ $at ] === $this->delimiter ) {
					$this->end_value();
				} else {
					$after_cr = "\r" === $text[ $at ];
					yield from $this->end_record();
				}
				++$at;
			}
		}
		if ( self::QUOTED === $this->state ) {
			$this->fault = self::NOT_CLOSED;
		}
		yield from $this->end_record();
	}

	/**
	 * Passes over a first line `sep=;`.
	 *
	 * @param string $text The text with which the file begins.
	 * @return int The length of that line.
	 */
	private function skip_separator( string $text ): int {
		$has_line = 1 === preg_match( '/^"?sep=([^"\r\n])"?(?:\r\n?|\n|$)/Di', $text, $found );
		if ( '' === $this->delimiter ) {
			$this->delimiter = $has_line ? self::delimiter( $found[1] ) : ',';
		}
		if ( ! $has_line ) {
			return 0;
		}
		$this->line  = 2;
		$this->begin = 2;
		return strlen( $found[0] );
	}

	/**
	 * Takes what belongs to the present value.
	 *
	 * @param string $text The text.
	 * @param int    $at   The next byte's place in it.
	 * @return int The place of the first byte that does not belong to the value.
	 */
	private function take( string $text, int $at ): int {
		if ( self::BEGINNING === $this->state ) {
			$this->state = self::PLAIN;
			if ( '"' === $text[ $at ] ) {
				$this->state     = self::QUOTED;
				$this->is_quoted = true;
				return $at + 1;
			}
		} elseif ( self::CLOSED === $this->state ) {
			if ( '"' === $text[ $at ] ) { // The second of two quotes.
				$this->value .= '"';
				$this->state  = self::QUOTED;
				return $at + 1;
			}
			$this->state = self::PLAIN;
			if ( $text[ $at ] !== $this->delimiter && "\n" !== $text[ $at ] && "\r" !== $text[ $at ] ) {
				$this->fault  = self::BEHIND_QUOTE;
				$this->behind = '' === $this->behind ? $text[ $at ] : $this->behind;
			}
		}
		$length       = strcspn( $text, self::QUOTED === $this->state ? '"' : $this->delimiter . "\r\n", $at );
		$this->value .= substr( $text, $at, $length );
		$at          += $length;
		if ( self::QUOTED === $this->state && $at < strlen( $text ) ) {
			$this->state = self::CLOSED;
			++$at;
		}
		return $at;
	}

	/**
	 * Ends a value.
	 */
	private function end_value(): void {
		if ( $this->is_quoted ) {
			$this->line += preg_match_all( '/\r\n?|\n/', $this->value );
		}
		$this->values[] = $this->value;
		$this->value    = '';
		$this->state    = self::BEGINNING;
	}

	/**
	 * Ends a record.
	 *
	 * @return \Generator<int, array{0: string[], 1: int}> The record, or none where the line is empty.
	 */
	private function end_record(): \Generator {
		$this->end_value();
		if ( array( '' ) !== $this->values || $this->is_quoted ) {
			yield $this->begin => array( $this->values, $this->fault );
		}
		++$this->line;
		$this->begin     = $this->line;
		$this->values    = array();
		$this->fault     = 0;
		$this->is_quoted = false;
	}
}
