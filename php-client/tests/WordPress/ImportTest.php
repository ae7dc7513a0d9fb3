<?php
/**
 * The import's sources, its report, and what it does while the daemon refuses.
 *
 * @package Ticketd
 */

namespace Ticketd\Tests\WordPress;

use Ticketd\Tests\Support\Folder;
use Ticketd\Tests\Support\Peer;
use Ticketd\WordPress\Cli\ImportCommand;
use Ticketd\WordPress\Import\Bytes;
use Ticketd\WordPress\Import\Csv;
use Ticketd\WordPress\Import\ImportException;
use Ticketd\WordPress\Import\Report;
use Ticketd\WordPress\Plugin;
use Ticketd\WordPress\Settings;

/**
 * Files in the forms that spreadsheets write, and the daemon's answers. internal/e2e imports with a real daemon.
 */
final class ImportTest extends SiteTestCase {

	/**
	 * The folder of the files.
	 *
	 * @var Folder
	 */
	private Folder $folder;

	/**
	 * How long the import waited, in microseconds.
	 *
	 * @var int[]
	 */
	private array $waits = array();

	/**
	 * Starts with nothing printed.
	 */
	protected function setUp(): void {
		parent::setUp();
		foreach ( array( 'wp-cli.php', 'WP_CLI.php', 'Formatter.php' ) as $file ) {
			require_once __DIR__ . '/../Support/' . $file;
		}
		\WP_CLI::$printed  = array();
		\WP_CLI::$warnings = array();
		$this->folder      = new Folder();
	}

	/**
	 * Reads a file.
	 *
	 * @param string      $bytes     What is in it.
	 * @param string|null $delimiter The delimiter.
	 * @param string      $encoding  The encoding.
	 * @return array The names, then by line the values or why they cannot be used.
	 */
	private function read( string $bytes, ?string $delimiter = null, string $encoding = '' ): array {
		$this->folder->put( 'file.csv', $bytes );
		$csv  = new Csv( new Bytes( $this->folder->own . '/file.csv', $encoding ), $delimiter );
		$rows = array( $csv->names() );
		foreach ( $csv->rows() as $line => list( $values, $fault ) ) {
			$rows[ $line ] = '' === $fault ? $values : $fault;
		}
		return $rows;
	}

	/**
	 * Files that are read.
	 */
	public static function files(): array {
		$want = array( array( 'id', 'subject' ), 2 => array( '7', 'Grüße' ), 3 => array( '8', '' ) );
		$text = "id,subject\n7,Grüße\n8,\n";
		$wide = fn( string $encoding, string $of = '' ): string => mb_convert_encoding( '' === $of ? $text : $of, $encoding, 'UTF-8' );
		return array(
			'plain'                       => array( $text, null, '', $want ),
			'no line end at the end'      => array( "id,subject\n7,Grüße\n8,", null, '', $want ),
			'CR LF'                       => array( str_replace( "\n", "\r\n", $text ), null, '', $want ),
			'CR'                          => array( str_replace( "\n", "\r", $text ), null, '', $want ),
			'UTF-8 with a mark'           => array( "\xEF\xBB\xBF" . $text, null, '', $want ),
			'a mark and quoted names'     => array( "\xEF\xBB\xBF\"id\",\"subject\"\n\"7\",\"Grüße\"\n8,\"\"", null, '', $want ),
			'UTF-16, little end first'    => array( "\xFF\xFE" . $wide( 'UTF-16LE' ), null, '', $want ),
			'UTF-16, big end first'       => array( "\xFE\xFF" . $wide( 'UTF-16BE' ), null, '', $want ),
			'UTF-16 without a mark'       => array( $wide( 'UTF-16LE' ), null, 'utf-16le', $want ),
			'Windows-1252'                => array( $wide( 'Windows-1252' ), null, 'windows-1252', $want ),
			'ISO-8859-15'                 => array( "id,subject\n7,\xA4 5", null, 'ISO-8859-15', array( array( 'id', 'subject' ), 2 => array( '7', '€ 5' ) ) ),
			'a mark against the encoding' => array( "\xEF\xBB\xBF" . $text, null, 'windows-1252', $want ),
			'semicolons by name'          => array( strtr( $text, ',', ';' ), 'semicolon', '', $want ),
			'tabs by name'                => array( strtr( $text, ',', "\t" ), 'tab', '', $want ),
			'tabs by escape'              => array( strtr( $text, ',', "\t" ), '\t', '', $want ),
			'sep='                        => array( "sep=;\nid;subject\n7;Grüße", null, '', array( array( 'id', 'subject' ), 3 => array( '7', 'Grüße' ) ) ),
			'sep= with a mark, in UTF-16' => array( "\xFF\xFE" . $wide( 'UTF-16LE', "sep=\t\r\nid\tsubject\r\n7\tGrüße" ), null, '', array( array( 'id', 'subject' ), 3 => array( '7', 'Grüße' ) ) ),
			'sep= and an option'          => array( "sep=;\nid|subject\n7|a;b", '|', '', array( array( 'id', 'subject' ), 3 => array( '7', 'a;b' ) ) ),
			'quotes and lines in a value' => array( "id,subject\n7,\"a \"\"b\"\"\r\nc\nd\"\n\n8,5\" disk\n", null, '', array( array( 'id', 'subject' ), 2 => array( '7', "a \"b\"\r\nc\nd" ), 6 => array( '8', '5" disk' ) ) ),
			'faults of lines'             => array(
				"id,subject\n7\n8,\"a\"b\n9,\xFF\n10,x,\n11,\"never\nclosed",
				null,
				'',
				array(
					array( 'id', 'subject' ),
					2 => '1 values instead of 2.',
					3 => 'A value goes on behind its closing quote; write a quote within quotes twice.',
					4 => 'The line is not valid UTF-8: name the encoding, as in --encoding=windows-1252.',
					5 => '3 values instead of 2.',
					6 => 'A quote is opened and not closed up to the end of the file.',
				),
			),
			'a pair over two pieces'      => array( "\xFF\xFE" . $wide( 'UTF-16LE', "id,subject\n7," . str_repeat( 'x', 32700 ) . str_repeat( '😀', 40 ) ), null, '', array( array( 'id', 'subject' ), 2 => array( '7', str_repeat( 'x', 32700 ) . str_repeat( '😀', 40 ) ) ) ),
			'a quote over two pieces'     => array( "id,subject\n7,\"" . str_repeat( '""', 40000 ) . "\"\r\n8,", null, '', array( array( 'id', 'subject' ), 2 => array( '7', str_repeat( '"', 40000 ) ), 3 => array( '8', '' ) ) ),
		);
	}

	/**
	 * A file is read whatever program wrote it, and a line that cannot be used is named.
	 *
	 * @dataProvider files
	 *
	 * @param string      $bytes     The file.
	 * @param string|null $delimiter The delimiter.
	 * @param string      $encoding  The encoding.
	 * @param array       $want      What is in it.
	 */
	public function test_files( string $bytes, ?string $delimiter, string $encoding, array $want ): void {
		$this->assertSame( $want, $this->read( $bytes, $delimiter, $encoding ) );
	}

	/**
	 * Files that are refused.
	 */
	public static function unusable(): array {
		return array(
			'empty'                    => array( '', null, '', 'The file is empty' ),
			'only a mark'              => array( "\xEF\xBB\xBF", null, '', 'The file is empty' ),
			'no delimiter'             => array( "id\n7\n", '', '', '"" is no delimiter' ),
			'two characters'           => array( "id\n7\n", ';;', '', '";;" is no delimiter' ),
			'a quote as delimiter'     => array( "id\n7\n", '"', '', 'is no delimiter' ),
			'another delimiter'        => array( "id;status\n7;open\n", null, '', 'has no ",". Is another character the --delimiter, ";"?' ),
			'another delimiter, a tab' => array( "id\tstatus\n", null, '', '--delimiter, "tab"?' ),
			'another, quoted names'    => array( "\"id\";\"status\"\n\"7\";\"open\"\n", null, '', 'has no ",". Is another character the --delimiter, ";"?' ),
			'a tab, quoted names'      => array( "\"id\"\t\"status\"\n", ';', '', 'has no ";". Is another character the --delimiter, "tab"?' ),
			'a quote in a name'        => array( "\"id\"x,\"status\"\n", null, '', 'goes on behind its closing quote' ),
			'a name twice'             => array( "id,Status,subject,status\n", null, '', 'has a name twice: status' ),
			'names in Latin-1'         => array( "id,Gr\xFC\xDFe\n", null, '', 'not valid UTF-8' ),
			'an open quote'            => array( "id,\"status\n7,open\n", null, '', 'A quote is opened and not closed' ),
			'UTF-16 without a mark'    => array( "i\0d\0\n\0", null, '', '--encoding=utf-16le' ),
			'UTF-32'                   => array( "\xFF\xFE\0\0i\0\0\0", null, '', 'UTF-32' ),
			'half a character'         => array( "\xFF\xFEi\0d", null, '', 'is not in utf-16le' ),
			'half a pair'              => array( "\xFF\xFEi\0\x3D\xD8", null, '', 'is not in utf-16le' ),
			'no such character'        => array( "id\n\x81", null, 'windows-1252', 'is not in windows-1252' ),
			'an unknown encoding'      => array( "id\n", null, 'ebcdic', 'The encoding ebcdic is not known' ),
		);
	}

	/**
	 * A file that cannot be read as a whole is refused by what is wrong with it.
	 *
	 * @dataProvider unusable
	 *
	 * @param string      $bytes     The file.
	 * @param string|null $delimiter The delimiter.
	 * @param string      $encoding  The encoding.
	 * @param string      $why       What is said.
	 */
	public function test_unusable_files( string $bytes, ?string $delimiter, string $encoding, string $why ): void {
		$this->expectException( ImportException::class );
		$this->expectExceptionMessage( $why );
		$this->read( $bytes, $delimiter, $encoding );
	}

	/**
	 * STDIN may be a pipe that gives a byte at a time, and cannot be rewound.
	 */
	public function test_standard_input(): void {
		$code    = 'define( "ABSPATH", "/" ); require $argv[1] . "/autoload.php";
			$csv = new Ticketd\WordPress\Import\Csv( new Ticketd\WordPress\Import\Bytes( "php://stdin", "" ), null );
			echo json_encode( array( $csv->names(), iterator_to_array( $csv->rows() ) ) );';
		$command = array( PHP_BINARY, '-d', 'display_errors=stderr', '-r', $code, '--', dirname( __DIR__, 2 ) . '/ticketd/src' );
		$process = proc_open( $command, array( array( 'pipe', 'r' ), array( 'pipe', 'w' ) ), $pipes );
		foreach ( str_split( "\xEF\xBB\xBFsep=;\r\nid;status\r\n7;open\r\n" ) as $byte ) {
			fwrite( $pipes[0], $byte );
			fflush( $pipes[0] );
		}
		fclose( $pipes[0] );
		$printed = stream_get_contents( $pipes[1] );
		$this->assertSame( 0, proc_close( $process ) );
		$this->assertSame( array( array( 'id', 'status' ), array( '3' => array( array( '7', 'open' ), '' ) ) ), json_decode( $printed, true ) );
	}

	/**
	 * Imports a CSV file with a scripted daemon.
	 *
	 * @param string $text       The file.
	 * @param array  $options    The options.
	 * @param array  ...$answers For each request the error and the result.
	 * @return array{0: array|null, 1: string} The counts, and the error.
	 */
	private function import( string $text, array $options, array ...$answers ): array {
		$this->daemon( ...$answers );
		$this->folder->put( 'tickets.csv', $text );
		$wait    = function ( int $microseconds ): void {
			$this->waits[] = $microseconds;
		};
		$command = new ImportCommand( Plugin::instance()->api(), new Settings(), $wait );
		$error   = '';
		try {
			$command->csv( array( $this->folder->own . '/tickets.csv' ), $options );
		} catch ( \RuntimeException $e ) {
			$error = $e->getMessage();
		}
		return array( isset( \WP_CLI::$printed[0] ) ? array_values( \WP_CLI::$printed[0][1][0] ) : null, $error );
	}

	/**
	 * The daemon's judgements.
	 *
	 * @param array ...$results Each an error, or id, revision and names.
	 */
	private static function judged( array ...$results ): array {
		return array( null, array( 'results' => $results ) );
	}

	/**
	 * What is asked is what is sent. An option that is turned off is off.
	 */
	public function test_requests(): void {
		$file           = "id,State,subject,Notes\n7,open,\"a, b\",x\n,closed,new,\n8,,?,\n";
		list( $counts ) = $this->import(
			$file,
			array( 'map' => 'State:status,Notes:', 'null' => '?', 'overwrite' => false, 'dry-run' => false ),
			self::judged( array( 7, 30, array() ), array( null, 0, array( 'status', 'subject' ) ), array( 8, 0, array( 'subject' ) ) ),
			array( null, array( 'id' => 20, 'revision' => 31 ) ),
			array( null, array( 'results' => array( 32 ) ) )
		);
		$this->assertSame( array( 2, 0, 1, 0 ), $counts );
		$asked = $this->request();
		$this->assertSame( 'check', $asked[0] );
		list( $known, $new, $set ) = $asked[1]['entries'];
		$this->assertSame( array( 7, array( 'status' => 'open', 'subject' => 'a, b' ) ), $known );
		$this->assertSame( array( null, array( 'status' => 'closed', 'subject' => 'new' ) ), array_slice( $new, 0, 2 ) );
		$this->assertSame( array( 8, array( 'subject' => null ) ), $set );
		$this->assertSame( array( 'create', array( 'fields' => $new[1], 'request_id' => $new[2] ) ), array_map( fn( $part ) => is_array( $part ) ? array_diff_key( $part, array( 'timeout_ms' => 0, 'table' => 0 ) ) : $part, $this->request() ) );
		$this->assertSame( array( array( 8, array( 'subject' => null ) ) ), $this->request()[1]['tickets'] );
	}

	/**
	 * A refused line is in the file with its values, and can be corrected and imported from there; only the first are
	 * shown. The file is never overwritten.
	 */
	public function test_refused_lines(): void {
		$file    = "id,status\n" . implode( '', array_map( fn( int $n ): string => "x$n,open\n", range( 1, 30 ) ) ) . "7,\"a\nb\"\n8,open,extra\n";
		$refused = $this->folder->own . '/refused.csv';
		$error   = Peer::error( 'invalid' ) + array( 'field' => 'status' );
		unset( $error['retryable'] );
		list( $counts, $failure ) = $this->import( $file, array( 'refused' => $refused ), self::judged( $error ) );
		$this->assertSame( array( 0, 0, 0, 32 ), $counts );
		$this->assertSame( '32 lines were refused.', $failure );
		$this->assertCount( 20, \WP_CLI::$warnings );
		$this->assertSame( '100600', sprintf( '%o', fileperms( $refused ) ) );
		$rows = $this->read( file_get_contents( $refused ) );
		$this->assertSame( array( '_line', '_field', '_reason', 'id', 'status' ), $rows[0] );
		$this->assertSame( array( '2', '', '"x1" is no ticket id; as a key in a field of a new ticket: --key-column=id --map=id:source_key.', 'x1', 'open' ), $rows[2] );
		$this->assertSame( '6 values instead of 5.', $rows[32] );
		$this->assertSame( array( '32', 'status', 'because', '7', "a\nb" ), end( $rows ) );
		$this->assertStringContainsString( 'exists already', $this->import( $file, array( 'refused' => $refused ) )[1] );
		\WP_CLI::$printed = array();
		list( $counts )   = $this->import( "_line,_field,_reason,id,status\n32,status,because,7,open\n", array(), self::judged( array( 7, 9, array() ) ) );
		$this->assertSame( array( 0, 0, 1, 0 ), $counts );
		$this->assertSame( array( array( 7, array( 'status' => 'open' ) ) ), $this->request()[1]['entries'] );
	}

	/**
	 * While the daemon has no room the import waits; a failure that does not pass ends it, and says how to go on.
	 */
	public function test_a_daemon_that_refuses(): void {
		$full                   = Peer::error( 'overloaded' );
		$created                = array( 7, 0, array( 'status' ) );
		list( $counts, $error ) = $this->import(
			"id,status\n7,open\n8,open\n",
			array(),
			array( $full, null ),
			self::judged( $created, array( 8, 0, array( 'status' ) ) ),
			array( null, array( 'results' => array( 31, $full ) ) ),
			array( null, array( 'results' => array( 32 ) ) )
		);
		$this->assertSame( array( array( 2, 0, 0, 0 ), '' ), array( $counts, $error ) );
		$this->assertSame( array( 200000, 200000 ), $this->waits );
		for ( $i = 0; $i < 3; ++$i ) {
			$this->request();
		}
		$this->assertSame( array( array( 8, array( 'status' => 'open' ) ) ), $this->request()[1]['tickets'] );

		\WP_CLI::$printed       = array();
		$this->waits            = array();
		list( $counts, $error ) = $this->import( "id,status\n7,open\n", array(), ...array_fill( 0, 8, array( $full, null ) ) );
		$this->assertNull( $counts );
		$this->assertSame( 'The import has ended early, run the same command again to go on: because', $error );
		$this->assertSame( 25400000, array_sum( $this->waits ) );

		$forbidden = array_diff_key( Peer::error( 'forbidden' ), array( 'retryable' => 0 ) );
		$this->assertStringContainsString( 'ended early', $this->import( "id,status\n7,open\n", array(), array( $forbidden, null ) )[1] );
	}

	/**
	 * Options that do not fit the columns are refused before anything is asked.
	 */
	public function test_options_that_do_not_fit(): void {
		$options = array(
			'There is no column code, State; there are: id, status.' => array( 'map' => 'State:status', 'key-column' => 'code' ),
			'A key is kept in a field: name the field, as in --map=id:source_key.' => array( 'key-column' => 'id' ),
			'Two columns are the field x'                            => array( 'map' => 'id:x,status:x' ),
			'Give --id-column or --key-column, not both.'            => array( 'id-column' => 'id', 'key-column' => 'status' ),
			'"status" is no pair: give column:field.'                => array( 'map' => 'status' ),
		);
		foreach ( $options as $error => $of ) {
			list( $counts, $said ) = $this->import( "id,status\n7,open\n", $of );
			$this->assertNull( $counts );
			$this->assertStringContainsString( $error, $said );
		}
		$this->assertStringContainsString( 'Two columns are the field ticket_id', $this->import( "id,ticket_id,status\n", array() )[1] );
		$this->assertSame( '2: The line has a value in a column without a name.', ( fn() => \WP_CLI::$warnings[0] )( $this->import( "id,status,\n7,open,x\n", array() ) ) );
	}

	/**
	 * Progress is shown every two seconds.
	 */
	public function test_progress(): void {
		$now    = 0.0;
		$notes  = array();
		$report = new Report(
			'',
			static function (): void {},
			static function ( string $text ) use ( &$notes ): void {
				$notes[] = $text;
			},
			static function () use ( &$now ): float {
				return $now;
			}
		);
		$report->begin( array( 'id' ) );
		foreach ( array( 1.9, 2.0, 3.9, 4.5 ) as $now ) {
			$report->count( 'changed' );
			$report->progress( 50 );
		}
		$report->refuse( '9', 'bad', '', array( 'id' => 'x' ) );
		$now = 7.0;
		$report->progress();
		$this->assertSame( array( 'Lines so far: 2, refused: 0 (50 %)', 'Lines so far: 4, refused: 0 (50 %)', 'Lines so far: 5, refused: 1' ), $notes );
	}
}
