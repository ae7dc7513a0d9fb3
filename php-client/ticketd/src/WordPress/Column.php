<?php
/**
 * A column of the tickets table.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress;

use Ticketd\Client\InputException;

defined( 'ABSPATH' ) || exit;

/**
 * Checks the values in a list's arguments as the daemon does: a value that the column cannot hold is refused, any
 * other value is written as the database holds it. protocol/testdata/selections.json has the cases of both
 * implementations.
 *
 * Supported character sets are ASCII, the two forms of UTF-8, and latin1; for UUID and INET columns no value is
 * refused.
 */
final class Column {

	/** Bytes of the integer types. */
	private const INTEGERS = array(
		'tinyint'   => 1,
		'smallint'  => 2,
		'mediumint' => 3,
		'int'       => 4,
		'bigint'    => 8,
	);

	/** Text types; bytes of the types without a length in the definition. */
	private const TEXTS = array(
		'char'       => 0,
		'varchar'    => 0,
		'tinytext'   => 255,
		'text'       => 65535,
		'mediumtext' => 16777215,
		'longtext'   => 4294967295,
	);

	/** Types without a character set, likewise. */
	private const BYTES = array(
		'binary'     => 0,
		'varbinary'  => 0,
		'tinyblob'   => 255,
		'blob'       => 65535,
		'mediumblob' => 16777215,
		'longblob'   => 4294967295,
	);

	/** Types of dates with or without a time. */
	private const DATES = array( 'date', 'datetime', 'timestamp' );

	/** Why a number is refused. */
	private const OUT_OF_RANGE = 'The number is out of the column\'s range.';

	/** Characters around a number or a time that the databases ignore. */
	private const SPACES = " \t\n\v\f\r";

	/** Character sets without characters of four bytes. */
	private const THREE_BYTES = array( 'utf8', 'utf8mb3', 'ucs2' );

	/** Characters that the databases' latin1, which is Windows-1252, does not have. */
	private const NOT_LATIN1 = '/[^\x{0}-\x{7f}\x{81}\x{8d}\x{8f}\x{90}\x{9d}\x{a0}-\x{ff}'
		. '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]/u';

	/**
	 * The field's name.
	 *
	 * @var string
	 */
	private string $field;

	/**
	 * The type as the database describes it: `decimal(5,2) unsigned`.
	 *
	 * @var string
	 */
	private string $description;

	/**
	 * The type's name in lower case.
	 *
	 * @var string
	 */
	private string $type;

	/**
	 * The collation; empty where the column has none.
	 *
	 * @var string
	 */
	private string $collation;

	/**
	 * The default as the database describes it; null: none.
	 *
	 * @var string|null
	 */
	private ?string $default;

	/**
	 * Takes the description of the column.
	 *
	 * @param array $described A row of SHOW FULL COLUMNS.
	 */
	public function __construct( array $described ) {
		$this->field       = $described['Field'];
		$this->description = $described['Type'];
		$this->type        = (string) strtok( strtolower( $described['Type'] ), '( ' );
		$this->collation   = (string) $described['Collation'];
		$this->default     = $described['Default'];
	}

	/**
	 * The default as the database describes it.
	 */
	public function default_value(): ?string {
		return $this->default;
	}

	/**
	 * The type's name in lower case and without length: `bigint`, `varchar`.
	 */
	public function type(): string {
		return $this->type;
	}

	/**
	 * Whether the values are integers.
	 */
	public function is_integer(): bool {
		return isset( self::INTEGERS[ $this->type ] ) || in_array( $this->type, array( 'bit', 'year' ), true );
	}

	/**
	 * Whether the values are dates with or without a time.
	 */
	public function is_date(): bool {
		return in_array( $this->type, self::DATES, true );
	}

	/**
	 * Whether the column holds JSON. MariaDB describes its JSON type as a text of this collation.
	 */
	public function is_json(): bool {
		return 'json' === $this->type || ( 'longtext' === $this->type && 'utf8mb4_bin' === $this->collation );
	}

	/**
	 * Whether the column can be searched for texts.
	 */
	public function is_text(): bool {
		return isset( self::TEXTS[ $this->type ] ) && ! $this->is_json();
	}

	/**
	 * Whether tickets can be sorted and counted by the column.
	 */
	public function is_sortable(): bool {
		return isset( self::INTEGERS[ $this->type ] ) || $this->is_date()
			|| in_array( $this->type, array( 'char', 'varchar', 'enum' ), true );
	}

	/**
	 * Whether values can be above or below each other.
	 */
	public function has_order(): bool {
		return $this->is_sortable()
			|| in_array( $this->type, array( 'bit', 'year', 'decimal', 'float', 'double', 'time' ), true );
	}

	/**
	 * The place of an enum's member, from 1: by it tickets are sorted.
	 *
	 * @param string $member The member as the database holds it.
	 */
	public function rank( string $member ): int {
		return 1 + (int) array_search( $member, $this->members(), true );
	}

	/**
	 * A value as text, as the daemon stores a value without a known column.
	 *
	 * @param string|int|float|bool $value The value.
	 */
	public static function text( $value ): string {
		if ( is_bool( $value ) ) {
			return $value ? '1' : '0';
		}
		return is_float( $value ) ? Number::float_text( $value ) : (string) $value;
	}

	/**
	 * A value as the database holds it.
	 *
	 * @param string|int|float|bool $value The value.
	 * @throws InputException If the column cannot hold it.
	 */
	public function checked( $value ): string {
		$text = self::text( $value );
		if ( 1 !== preg_match( '//u', $text ) ) {
			$this->refuse( 'The text is no valid UTF-8.' );
		}
		if ( isset( self::INTEGERS[ $this->type ] ) || 'bit' === $this->type ) {
			return $this->integer( $text );
		}
		if ( isset( self::TEXTS[ $this->type ] ) ) {
			return $this->chars( $text );
		}
		if ( isset( self::BYTES[ $this->type ] ) ) {
			return $this->bytes( $text );
		}
		if ( $this->is_date() ) {
			return $this->date( $text );
		}
		switch ( $this->type ) {
			case 'decimal':
				return $this->decimal( $text );
			case 'float':
			case 'double':
				return $this->float( $text );
			case 'time':
				return $this->time( $text );
			case 'year':
				return $this->year( $text );
			case 'enum':
				return $this->member( $text );
			case 'set':
				return $this->set( $text );
			default:
				return $text;
		}
	}

	/**
	 * Refuses a value.
	 *
	 * @param string $why Why.
	 * @throws InputException Always.
	 */
	private function refuse( string $why ): void {
		throw new InputException( $why, $this->field );
	}

	/**
	 * Whether the column holds no negative numbers.
	 */
	private function is_unsigned(): bool {
		return 'bit' === $this->type || false !== stripos( $this->description, 'unsigned' );
	}

	/**
	 * The numbers in brackets behind the type: length, or precision and scale.
	 *
	 * @return int[]
	 */
	private function sizes(): array {
		return 1 === preg_match( '/\(([\d,]+)\)/', $this->description, $match )
			? array_map( 'intval', explode( ',', $match[1] ) ) : array();
	}

	/**
	 * Reads a number.
	 *
	 * @param string $text The text.
	 */
	private function number( string $text ): Number {
		$number = Number::read( trim( $text, self::SPACES ) );
		if ( null === $number ) {
			$this->refuse( 'The column holds numbers.' );
		}
		return $number;
	}

	/**
	 * An integer; fractions are rounded.
	 *
	 * @param string $text The text.
	 */
	private function integer( string $text ): string {
		$number = $this->number( $text );
		$bits   = 'bit' === $this->type ? ( $this->sizes()[0] ?? 1 ) : 8 * self::INTEGERS[ $this->type ];
		if ( ! $number->fits( $bits, $this->is_unsigned() ) ) {
			$this->refuse( self::OUT_OF_RANGE );
		}
		return $number->rounded( 0 );
	}

	/**
	 * A number with a fixed number of digits behind the point.
	 *
	 * @param string $text The text.
	 */
	private function decimal( string $text ): string {
		list( $precision, $scale ) = $this->sizes() + array( 10, 0 );

		$number = $this->number( $text );
		$is_low = $number->is_negative() && $this->is_unsigned();
		if ( $is_low || $number->digits_before( $scale ) > $precision - $scale ) {
			$this->refuse( self::OUT_OF_RANGE );
		}
		return $number->rounded( $scale );
	}

	/**
	 * A floating-point number.
	 *
	 * @param string $text The text.
	 */
	private function float( string $text ): string {
		$largest = 'float' === $this->type ? 3.4028234663852886e38 : PHP_FLOAT_MAX;
		$is_low  = $this->number( $text )->is_negative() && $this->is_unsigned();
		$text    = trim( $text, self::SPACES );
		if ( $is_low || abs( (float) $text ) > $largest ) {
			$this->refuse( self::OUT_OF_RANGE );
		}
		return $text;
	}

	/**
	 * A text; spaces at its end beyond the column's length are cut.
	 *
	 * @param string $text The text.
	 */
	private function chars( string $text ): string {
		$charset = (string) strtok( $this->collation, '_' );
		if ( ( 'ascii' === $charset && 1 === preg_match( '/[^\x00-\x7f]/', $text ) )
			|| ( in_array( $charset, self::THREE_BYTES, true ) && 1 === preg_match( '/[^\x{0}-\x{ffff}]/u', $text ) )
			|| ( 'latin1' === $charset && 1 === preg_match( self::NOT_LATIN1, $text ) )
		) {
			$this->refuse( 'The column\'s character set lacks a character of the text.' );
		}
		$text  = 'char' === $this->type ? rtrim( $text, ' ' ) : $text;
		$bytes = self::TEXTS[ $this->type ];
		$room  = 0 === $bytes ? ( $this->sizes()[0] ?? 1 ) : $bytes;
		$count = static fn( string $text ): int => 0 === $bytes ? mb_strlen( $text, 'UTF-8' ) : strlen( $text );
		if ( $count( rtrim( $text, ' ' ) ) > $room ) {
			$this->refuse( 'The text is longer than the column.' );
		}
		return substr( $text, 0, strlen( $text ) - max( 0, $count( $text ) - $room ) );
	}

	/**
	 * Bytes; BINARY is filled up with zero bytes.
	 *
	 * @param string $text The text.
	 */
	private function bytes( string $text ): string {
		$bytes = self::BYTES[ $this->type ];
		$room  = 0 === $bytes ? ( $this->sizes()[0] ?? 1 ) : $bytes;
		if ( strlen( $text ) > $room ) {
			$this->refuse( 'The text is longer than the column.' );
		}
		return 'binary' === $this->type ? str_pad( $text, $room, "\0" ) : $text;
	}

	/**
	 * A date with or without a time. Parts without room in the column are cut.
	 *
	 * @param string $text The text.
	 */
	private function date( string $text ): string {
		$time = Time::read( trim( $text, self::SPACES ) );
		if ( null === $time || ( 'timestamp' === $this->type && (int) $time->format( 'U' ) < 1 ) ) {
			$this->refuse( 'Give a time as YYYY-MM-DD hh:mm:ss, or as seconds since 1970 in 9 to 11 digits.' );
		}
		if ( 'date' === $this->type ) {
			return $time->format( 'Y-m-d' );
		}
		$digits = $this->sizes()[0] ?? 0;
		$text   = $time->format( 'Y-m-d H:i:s.u' );
		return substr( $text, 0, strlen( 'YYYY-MM-DD hh:mm:ss' ) + ( 0 === $digits ? 0 : 1 + $digits ) );
	}

	/**
	 * A length of time.
	 *
	 * @param string $text The text.
	 */
	private function time( string $text ): string {
		$form = '/^(-?)(\d{1,3}):([0-5]?\d)(?::([0-5]?\d)(?:\.(\d*))?)?$/D';
		if ( 1 !== preg_match( $form, trim( $text, self::SPACES ), $part ) || (int) $part[2] > 838 ) {
			$this->refuse( 'Give a time as hh:mm:ss, up to 838:59:59.' );
		}
		$digits = $this->sizes()[0] ?? 0;
		$length = sprintf( '%02d:%02d:%02d', $part[2], $part[3], $part[4] ?? 0 )
			. ( 0 === $digits ? '' : '.' . substr( str_pad( $part[5] ?? '', $digits, '0' ), 0, $digits ) );
		return ( '' === trim( $length, '0:.' ) ? '' : $part[1] ) . $length;
	}

	/**
	 * A year; one and two digits are 1970 to 2069.
	 *
	 * @param string $text The text.
	 */
	private function year( string $text ): string {
		$number = $this->number( $text );
		if ( '0000' === $text ) {
			return $text;
		}
		$year  = $number->fits( 16, true ) ? (int) $number->rounded( 0 ) : -1;
		$year += 0 <= $year && $year < 100 ? ( $year < 70 ? 2000 : 1900 ) : 0;
		if ( $year < 1901 || $year > 2155 ) {
			$this->refuse( 'The column holds years from 1901 to 2155.' );
		}
		return (string) $year;
	}

	/**
	 * A member of an enum, by its text or its number from 1.
	 *
	 * @param string $text The text.
	 */
	private function member( string $text ): string {
		$members = $this->members();
		$place   = $this->place( $text, $members );
		if ( null === $place && 1 === preg_match( '/^0*[1-9]\d{0,4}$/D', $text ) ) {
			$place = (int) $text - 1;
		}
		if ( null === $place || ! isset( $members[ $place ] ) ) {
			$this->refuse( 'The column has no such member.' );
		}
		return $members[ $place ];
	}

	/**
	 * Members of a set in the table's order, by their texts with commas between them, or by a number whose bits they
	 * are.
	 *
	 * @param string $text The text.
	 */
	private function set( string $text ): string {
		$members = $this->members();
		$places  = array();
		foreach ( '' === $text ? array() : explode( ',', $text ) as $part ) {
			$places[] = $this->place( $part, $members );
		}
		if ( in_array( null, $places, true ) ) {
			$bits = ctype_digit( $text ) ? Number::read( $text ) : null;
			if ( null === $bits || ! $bits->fits( min( 63, count( $members ) ), true ) ) {
				$this->refuse( 'The column has no such members.' );
			}
			$is_set = static fn( int $place ): bool => 0 !== ( (int) $text & ( 1 << $place ) );
			$places = array_filter( array_keys( $members ), $is_set );
		}
		return implode( ',', array_intersect_key( $members, array_flip( $places ) ) );
	}

	/**
	 * The members of an enum or a set.
	 *
	 * @return string[]
	 */
	private function members(): array {
		preg_match_all( "/'((?:[^']|'')*)'/", $this->description, $matches );
		return str_replace( "''", "'", $matches[1] );
	}

	/**
	 * Which member the database takes a text for. Spaces at its end do not count, nor does case in most collations.
	 *
	 * @param string   $text    The text.
	 * @param string[] $members The members.
	 * @return int|null Null for none.
	 */
	private function place( string $text, array $members ): ?int {
		$forms = array(
			static fn( string $text ): string => $text,
			static fn( string $text ): string => rtrim( $text, ' ' ),
		);
		if ( 1 !== preg_match( '/_(bin|cs)$/D', $this->collation ) ) {
			$forms[] = static fn( string $text ): string => mb_strtolower( rtrim( $text, ' ' ), 'UTF-8' );
		}
		foreach ( $forms as $form ) {
			$place = array_search( $form( $text ), array_map( $form, $members ), true );
			if ( false !== $place ) {
				return $place;
			}
		}
		return null;
	}
}
