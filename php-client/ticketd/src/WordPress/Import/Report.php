<?php
/**
 * The report of an import.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * Counts lines by outcome, says which were refused and why, and shows progress.
 *
 * The file of refused lines is CSV itself: the columns below, then those of the source. It can be corrected and
 * imported in place of the source.
 */
final class Report {

	/** The columns of the file of refused lines that are not the source's. */
	public const COLUMNS = array( '_line', '_field', '_reason' );

	/** Refused lines that are shown; the file has all of them. */
	private const SHOWN = 20;

	/** Time between two messages of progress, in seconds. */
	private const PERIOD = 2.0;

	/**
	 * Shows a refusal.
	 *
	 * @var callable
	 */
	private $warn;

	/**
	 * Shows progress.
	 *
	 * @var callable
	 */
	private $note;

	/**
	 * Tells the time in seconds.
	 *
	 * @var callable
	 */
	private $clock;

	/**
	 * The path of the file of refused lines; may be empty.
	 *
	 * @var string
	 */
	private string $path;

	/**
	 * The file of refused lines.
	 *
	 * @var \SplFileObject|null
	 */
	private ?\SplFileObject $file = null;

	/**
	 * The source's columns.
	 *
	 * @var string[]
	 */
	private array $columns = array();

	/**
	 * Counts of lines by outcome.
	 *
	 * @var array{created: int, changed: int, unchanged: int, refused: int}
	 */
	private array $counts = array(
		'created'   => 0,
		'changed'   => 0,
		'unchanged' => 0,
		'refused'   => 0,
	);

	/**
	 * When progress was shown last.
	 *
	 * @var float
	 */
	private float $shown;

	/**
	 * Takes the parts.
	 *
	 * @param string        $path  The path of the file of refused lines; may be empty.
	 * @param callable      $warn  Shows a refusal.
	 * @param callable      $note  Shows progress.
	 * @param callable|null $clock Tells the time in seconds; null: the clock.
	 */
	public function __construct( string $path, callable $warn, callable $note, ?callable $clock = null ) {
		$this->warn  = $warn;
		$this->note  = $note;
		$this->clock = $clock ?? static fn(): float => microtime( true );
		$this->shown = ( $this->clock )();
		$this->path  = $path;
	}

	/**
	 * Takes the source's columns, before the first line, and opens the file of refused lines.
	 *
	 * @param string[] $columns The names.
	 */
	public function begin( array $columns ): void {
		$this->open();
		$this->columns = array_values( array_diff( $columns, self::COLUMNS ) );
		$this->write( array_merge( self::COLUMNS, $this->columns ) );
	}

	/**
	 * Opens the file of refused lines.
	 *
	 * @throws ImportException If the file exists or cannot be made.
	 */
	private function open(): void {
		if ( '' === $this->path ) {
			return;
		}
		$mask = umask( 0077 ); // The lines are customers' data.
		try {
			$this->file = new \SplFileObject( $this->path, 'x' );
		} catch ( \RuntimeException $e ) {
			/* translators: %s: path of a file */
			$text = __( 'The file %s for refused lines exists already, or cannot be made.', 'ticketd' );
			throw new ImportException( sprintf( $text, $this->path ) );
		} finally {
			umask( $mask );
		}
	}

	/**
	 * Counts lines that were not refused.
	 *
	 * @param string $outcome `created`, `changed` or `unchanged`.
	 * @param int    $number  How many.
	 */
	public function count( string $outcome, int $number = 1 ): void {
		$this->counts[ $outcome ] += $number;
	}

	/**
	 * Counts a line as refused and says why.
	 *
	 * @param string $place  Where the line stands in the source.
	 * @param string $reason Why it is refused.
	 * @param string $field  The field that is to blame; empty: none.
	 * @param array  $row    The line's values by column, or, if they fit no columns, in their order.
	 */
	public function refuse( string $place, string $reason, string $field, array $row ): void {
		if ( ++$this->counts['refused'] <= self::SHOWN ) {
			( $this->warn )( $place . ': ' . ( '' === $field ? '' : $field . ': ' ) . $reason );
		}
		$values = array( $place, $field, $reason );
		if ( array() !== array_diff( $this->columns, array_keys( $row ) ) ) {
			$this->write( array_merge( $values, $row ) );
			return;
		}
		foreach ( $this->columns as $column ) {
			$values[] = (string) $row[ $column ];
		}
		$this->write( $values );
	}

	/**
	 * Says something about the whole source.
	 *
	 * @param string $text The text.
	 */
	public function tell( string $text ): void {
		( $this->note )( $text );
	}

	/**
	 * Shows now and then how far the import is.
	 *
	 * @param int|null $percent How much of the source is read; null: not known.
	 */
	public function progress( ?int $percent = null ): void {
		$now = ( $this->clock )();
		if ( $now - $this->shown < self::PERIOD ) {
			return;
		}
		$this->shown = $now;
		$total       = array_sum( $this->counts );
		/* translators: 1: number of lines, 2: number of lines */
		$text = sprintf( __( 'Lines so far: %1$d, refused: %2$d', 'ticketd' ), $total, $this->counts['refused'] );
		( $this->note )( null === $percent ? $text : sprintf( '%s (%d %%)', $text, $percent ) );
	}

	/**
	 * The counts of lines by outcome.
	 *
	 * @return array{created: int, changed: int, unchanged: int, refused: int}
	 */
	public function counts(): array {
		return $this->counts;
	}

	/**
	 * How many refused lines were not shown.
	 */
	public function hidden(): int {
		return max( 0, $this->counts['refused'] - self::SHOWN );
	}

	/**
	 * Writes a line to the file.
	 *
	 * @param array $values Its values.
	 * @throws ImportException If the disk is full, or the like.
	 */
	private function write( array $values ): void {
		if ( null !== $this->file && false === $this->file->fputcsv( $values, ',', '"', '' ) ) {
			throw new ImportException( __( 'The file for refused lines cannot be written.', 'ticketd' ) );
		}
	}
}
