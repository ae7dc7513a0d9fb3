<?php
/**
 * Site Health.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Admin;

use Ticketd\Client\Spool;
use Ticketd\WordPress\Doctor;
use Ticketd\WordPress\Settings;
use Ticketd\WordPress\Table;

defined( 'ABSPATH' ) || exit;

/**
 * The plugin's tests and debug information for Tools > Site Health.
 */
final class SiteHealth {

	/**
	 * How the daemon is.
	 *
	 * @var Health
	 */
	private Health $health;

	/**
	 * Takes what asks the daemon.
	 *
	 * @param Health $health How the daemon is.
	 */
	public function __construct( Health $health ) {
		$this->health = $health;
	}

	/**
	 * Adds the tests.
	 *
	 * @param array $tests WordPress' tests.
	 */
	public function add_tests( array $tests ): array {
		$own = array(
			'connection' => __( 'ticketd answers', 'ticketd' ),
			'table'      => __( 'The table of tickets', 'ticketd' ),
			'store'      => __( 'The store of changes of tickets', 'ticketd' ),
			'lag'        => __( 'Changes of tickets reach the database', 'ticketd' ),
			'spool'      => __( 'The spool of ticketd', 'ticketd' ),
		);
		foreach ( $own as $name => $label ) {
			$tests['direct'][ 'ticketd_' . $name ] = array(
				'label' => $label,
				'test'  => array( $this, 'test_' . $name ),
			);
		}
		return $tests;
	}

	/**
	 * Adds the debug information.
	 *
	 * @param array $info WordPress' own.
	 */
	public function add_information( array $info ): array {
		$fields = array();
		foreach ( ( new Diagnostics( $this->health ) )->rows() as $name => $value ) {
			$fields[ sanitize_key( $name ) ] = array(
				'label' => $name,
				'value' => $value,
			);
		}
		$info['ticketd'] = array(
			'label'  => 'ticketd',
			'fields' => $fields,
		);
		return $info;
	}

	/**
	 * Whether the daemon answers, and if not, why.
	 */
	public function test_connection(): array {
		$status = $this->health->status();
		if ( ! is_wp_error( $status ) ) {
			/* translators: %s: version */
			$text = sprintf( __( 'ticketd %s answers on its socket.', 'ticketd' ), $status['version'] );
			return self::result( 'connection', 'good', __( 'ticketd answers', 'ticketd' ), $text );
		}
		$socket = ( new Settings() )->socket();
		clearstatcache( true, $socket );
		if ( ! file_exists( $socket ) ) {
			/* translators: %s: path of a socket */
			$text = __( 'There is no socket %s, or PHP may not look into its folder. Is ticketd running?', 'ticketd' );
		} elseif ( ! wp_is_writable( $socket ) ) {
			/* translators: %s: path of a socket */
			$text = __( 'PHP may not use the socket %s: let its user into the group of the socket.', 'ticketd' );
		} else {
			/* translators: %s: path of a socket */
			$text = __( 'The socket %s is there, but ticketd gives no answer on it.', 'ticketd' );
		}
		$text = sprintf( $text, $socket ) . ' ' . Diagnostics::masked( $status->get_error_message() );
		return self::result( 'connection', 'critical', __( 'ticketd does not answer', 'ticketd' ), $text );
	}

	/**
	 * Whether the table is one that ticketd and the plugin can use.
	 */
	public function test_table(): array {
		$name       = ( new Settings() )->table();
		$table      = Table::describe( $name );
		$status     = $this->health->status();
		$bad        = __( 'The table of tickets cannot be used', 'ticketd' );
		$is_adopted = Table::is_adopted( $name );
		if ( null === $table && ! $is_adopted ) {
			/* translators: %s: name of a table */
			$text = sprintf(
				__(
					'There is no usable table %s. Activate the plugin again to make it.',
					'ticketd'
				),
				$name
			);
			return self::result( 'table', 'critical', $bad, $text );
		}
		if ( ! is_wp_error( $status ) && 'paused' === $status['sink']['state'] ) {
			return self::result( 'table', 'critical', $bad, Diagnostics::masked( $status['sink']['reason'] ) );
		}
		/* translators: %s: name of a table */
		$text = __( 'The table %s has what ticketd needs.', 'ticketd' );
		$text = $is_adopted ? Doctor::adopted( $name ) : sprintf( $text, $name );
		return self::result( 'table', 'good', __( 'The table of tickets is there', 'ticketd' ), $text );
	}

	/**
	 * Whether changes are safe where they wait: the store answers, keeps what it is given and loses it to no restart.
	 */
	public function test_store(): array {
		$status = $this->health->status();
		if ( is_wp_error( $status ) ) {
			return $this->unknown( 'store', __( 'The store of changes of tickets is not known', 'ticketd' ) );
		}
		if ( 'up' !== $status['store']['state'] ) {
			$text = Format::place( $status['store'] );
			return self::result(
				'store',
				'critical',
				__( 'The store of changes of tickets does not answer', 'ticketd' ),
				$text
			);
		}
		if ( array() !== $status['warnings'] ) {
			$text = implode( ' ', array_map( array( Diagnostics::class, 'masked' ), $status['warnings'] ) );
			return self::result( 'store', 'recommended', __( 'ticketd has warnings', 'ticketd' ), $text );
		}
		$text = __( 'It answers, evicts nothing that waits, and loses nothing when it is restarted.', 'ticketd' );
		return self::result( 'store', 'good', __( 'Changes of tickets are safe where they wait', 'ticketd' ), $text );
	}

	/**
	 * Whether changes reach the database in time, and none is refused.
	 */
	public function test_lag(): array {
		$status = $this->health->status();
		if ( is_wp_error( $status ) ) {
			return $this->unknown(
				'lag',
				__( 'Whether changes of tickets reach the database is not known', 'ticketd' )
			);
		}
		if ( $status['dead'] > 0 ) {
			/* translators: %s: number of tickets */
			$text = _n(
				'The database refuses the changes of %s ticket.',
				'The database refuses the changes of %s tickets.',
				$status['dead'],
				'ticketd'
			);
			$text = sprintf( $text, number_format_i18n( $status['dead'] ) );
			return self::result(
				'lag',
				'critical',
				__( 'The database refuses changes of tickets', 'ticketd' ),
				$text,
				Screens::DEAD
			);
		}
		if ( 'unknown' === $status['sink']['state'] ) {
			return self::result(
				'lag',
				'recommended',
				__( 'Whether changes of tickets reach the database is not known', 'ticketd' ),
				Format::place( $status['sink'] )
			);
		}
		if ( 'up' !== $status['sink']['state'] ) {
			$text = Format::place( $status['sink'] );
			return self::result(
				'lag',
				'critical',
				__( 'The database takes no changes of tickets', 'ticketd' ),
				$text
			);
		}
		/* translators: 1: number of tickets, 2: a time, e.g. "5 mins" */
		$text = sprintf(
			__( '%1$s tickets wait, the oldest for %2$s.', 'ticketd' ),
			number_format_i18n( $status['dirty'] ),
			Format::duration( $status['oldest_dirty_ms'] )
		);
		if ( $status['oldest_dirty_ms'] > 1000 * Health::lag_seconds() ) {
			return self::result( 'lag', 'recommended', __( 'Changes of tickets are late', 'ticketd' ), $text );
		}
		return self::result( 'lag', 'good', __( 'Changes of tickets reach the database', 'ticketd' ), $text );
	}

	/**
	 * Whether changes can wait on this server while the daemon is away.
	 */
	public function test_spool(): array {
		$spool  = new Spool( ( new Settings() )->spool() );
		$folder = $spool->folder();
		$status = $this->health->status();
		if ( ! $spool->exists() || ! wp_is_writable( $folder ) ) {
			$text = '' === ( new Settings() )->spool()
				? __( 'No spool folder is set: changes fail while the daemon is away.', 'ticketd' )
				: Doctor::no_spool( $spool );
			return self::result(
				'spool',
				'recommended',
				__( 'Changes of tickets cannot wait for ticketd', 'ticketd' ),
				$text
			);
		}
		if ( $spool->strangers() > 0 ) {
			/* translators: 1: number of files, 2: path of a folder */
			$text = __( '%1$d files in %2$s belong to other users. They are not read; remove them.', 'ticketd' );
			return self::result(
				'spool',
				'recommended',
				__( 'Another user writes to the spool of ticketd', 'ticketd' ),
				sprintf( $text, $spool->strangers(), $folder )
			);
		}
		if ( ! is_wp_error( $status ) && $status['spool']['bad'] > 0 ) {
			/* translators: 1: number of files, 2: path of a folder */
			$text = sprintf(
				__( '%1$s files in the folders bad below %2$s could not be used; see the reasons there.', 'ticketd' ),
				number_format_i18n( $status['spool']['bad'] ),
				( new Settings() )->spool()
			);
			return self::result( 'spool', 'recommended', __( 'Changes of tickets were set aside', 'ticketd' ), $text );
		}
		/* translators: %s: path of a folder */
		$text = sprintf( __( 'While ticketd is away, changes of tickets wait in %s.', 'ticketd' ), $folder );
		return self::result( 'spool', 'good', __( 'Changes of tickets can wait for ticketd', 'ticketd' ), $text );
	}

	/**
	 * The result of a test that cannot tell, as the daemon does not answer; another test complains about that.
	 *
	 * @param string $name  The test.
	 * @param string $label What is not known.
	 */
	private function unknown( string $name, string $label ): array {
		return self::result( $name, 'recommended', $label, __( 'ticketd does not answer.', 'ticketd' ) );
	}

	/**
	 * A result as Site Health takes it.
	 *
	 * @param string $name   The test.
	 * @param string $status `good`, `recommended` or `critical`.
	 * @param string $label  The result in short.
	 * @param string $text   The result at length, not escaped.
	 * @param string $page   The plugin's page that helps.
	 */
	private static function result(
		string $name,
		string $status,
		string $label,
		string $text,
		string $page = Screens::STATUS
	): array {
		return array(
			'label'       => $label,
			'status'      => $status,
			'badge'       => array(
				'label' => __( 'Support tickets', 'ticketd' ),
				'color' => 'good' === $status ? 'green' : ( 'critical' === $status ? 'red' : 'orange' ),
			),
			'description' => '<p>' . esc_html( $text ) . '</p>',
			'actions'     => sprintf(
				'<a href="%s">%s</a>',
				esc_url( Screens::url( $page ) ),
				esc_html__( 'Status of ticketd', 'ticketd' )
			),
			'test'        => 'ticketd_' . $name,
		);
	}
}
