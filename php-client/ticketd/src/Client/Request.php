<?php
/**
 * What a call asks for.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * A method and its parameters: what the daemon is sent, and what waits in the spool where it cannot be.
 */
final class Request {

	/**
	 * The method's name.
	 *
	 * @var string
	 */
	private string $method;

	/**
	 * The parameters by name.
	 *
	 * @var array
	 */
	private array $params;

	/**
	 * Takes both.
	 *
	 * @param string $method The method's name.
	 * @param array  $params The parameters by name.
	 */
	public function __construct( string $method, array $params ) {
		$this->method = $method;
		$this->params = $params;
	}

	/**
	 * The method's name.
	 */
	public function method(): string {
		return $this->method;
	}

	/**
	 * A parameter, or null.
	 *
	 * @param string $name Its name.
	 * @return mixed
	 */
	public function param( string $name ) {
		return $this->params[ $name ] ?? null;
	}

	/**
	 * All parameters by name.
	 */
	public function params(): array {
		return $this->params;
	}

	/**
	 * The request id; an empty string where there is none.
	 */
	public function request_id(): string {
		return (string) $this->param( 'request_id' );
	}

	/**
	 * The site's name; an empty string where the request names none.
	 */
	public function site(): string {
		return (string) $this->param( 'site' );
	}

	/**
	 * The same request for a ticket id that the client has chosen.
	 *
	 * @param int $id The ticket's id.
	 */
	public function with_id( int $id ): self {
		return new self( $this->method, array( 'id' => $id ) + $this->params );
	}

	/**
	 * The same request, meant for the table of that identity.
	 *
	 * @param string $identity The identity; an empty string where it is not known.
	 */
	public function with_identity( string $identity ): self {
		return '' === $identity ? $this : new self( $this->method, $this->params + array( 'identity' => $identity ) );
	}

	/**
	 * The pairs of a `set_many`, each as the `set` that the daemon makes of it, under its own request id.
	 *
	 * @return self[] In the order of the pairs.
	 */
	public function pairs(): array {
		$common = $this->params;
		$pairs  = array();
		unset( $common['tickets'] );
		foreach ( $this->params['tickets'] as $index => list( $id, $fields ) ) {
			$own     = array(
				'id'         => $id,
				'fields'     => $fields,
				'request_id' => $this->request_id() . '#' . $index,
			);
			$pairs[] = new self( 'set', $own + $common );
		}
		return $pairs;
	}
}
