<?php
/**
 * The request of a call.
 *
 * @package Ticketd
 */

// phpcs:disable WordPress.Security.EscapeOutput.ExceptionNotEscaped -- Plain text; escaped where it is printed.

namespace Ticketd\Client;

/**
 * A method and its parameters: the content of a request to the daemon, and of a file in the spool. Parameters of a
 * shape that the protocol does not have are refused; the daemon judges their meaning.
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
	 * Takes the method and the parameters.
	 *
	 * @param string $method The method's name.
	 * @param array  $params The parameters by name.
	 */
	public function __construct( string $method, array $params ) {
		$this->method = $method;
		$this->params = $params;
	}

	/**
	 * Refuses what cannot be a field's value, before a codec encodes an object or an array in its own way.
	 *
	 * @param array $fields Values by field name.
	 * @return array The same value.
	 * @throws InputException If a value is not a scalar or null.
	 */
	public static function fields( array $fields ): array {
		foreach ( $fields as $name => $value ) {
			if ( null !== $value && ! is_scalar( $value ) ) {
				throw new InputException(
					sprintf( 'A field cannot hold %s. Give a string, a number, a boolean or null.', gettype( $value ) ),
					(string) $name
				);
			}
		}
		return $fields;
	}

	/**
	 * Refuses what is no argument of a list, before a codec encodes it in its own way, and makes lists of
	 * alternatives: an array with gaps, as a filter leaves it, would become a map. A limit may be a decimal string,
	 * as a web request has it.
	 *
	 * @param array $args The arguments of list_tickets().
	 * @return array The same, in the protocol's form.
	 * @throws InputException If an argument has a wrong shape.
	 */
	public static function query( array $args ): array {
		foreach ( $args as $name => $value ) {
			if ( ! in_array( $name, array( 'where', 'contains', 'created_at', 'updated_at' ), true ) ) {
				self::fields( array( $name => $value ) );
				if ( 'limit' === $name && is_string( $value ) && (string) (int) $value === $value ) {
					$args['limit'] = (int) $value;
				}
				continue;
			}
			if ( ! is_array( $value ) ) {
				throw new InputException( 'Give an array of values by name.', $name );
			}
			foreach ( $value as $field => $given ) {
				if ( 'where' === $name ) {
					$args['where'][ $field ] = self::filter( (string) $field, $given );
				} else {
					self::fields( array( $field => $given ) );
				}
			}
		}
		return $args;
	}

	/**
	 * Reads a filter: a value, a list of alternatives, or comparisons by operator. An array with keys of its own that
	 * are no operators is refused, so that no mistyped comparison is taken for alternatives.
	 *
	 * @param string $field The field's name.
	 * @param mixed  $given The filter.
	 * @return mixed The same, its lists without gaps.
	 * @throws InputException If it is none.
	 */
	private static function filter( string $field, $given ) {
		if ( ! self::is_comparison( $given ) ) {
			return self::choices( $field, $given );
		}
		foreach ( $given as $operator => $values ) {
			if ( ! in_array( $operator, Protocol::OPERATORS, true ) ) {
				throw new InputException(
					sprintf(
						'Compare by %s, not by "%s". A list of alternatives has no keys.',
						implode( ', ', Protocol::OPERATORS ),
						$operator
					),
					$field
				);
			}
			if ( in_array( $operator, Protocol::LIST_OPERATORS, true ) ) {
				$given[ $operator ] = self::choices( $field, $values );
			} else {
				self::fields( array( $field => $values ) );
			}
		}
		return $given;
	}

	/**
	 * Whether a filter compares by operators; otherwise it is a value or a list of alternatives.
	 *
	 * @param mixed $given The filter.
	 */
	public static function is_comparison( $given ): bool {
		return is_array( $given ) && array() !== array_filter( array_keys( $given ), 'is_string' );
	}

	/**
	 * Refuses alternatives that are not single values.
	 *
	 * @param string $field The field's name.
	 * @param mixed  $given A value, or a list of values.
	 * @return mixed The same, a list without gaps.
	 */
	private static function choices( string $field, $given ) {
		foreach ( is_array( $given ) ? $given : array( $given ) as $value ) {
			self::fields( array( $field => $value ) );
		}
		return is_array( $given ) ? array_values( $given ) : $given;
	}

	/**
	 * Refuses values that are not integers. Decimal strings count as integers, because a database's result holds
	 * strings.
	 *
	 * @param array $ids Ticket ids.
	 * @return int[] The same, as a list of integers.
	 * @throws InputException If an id is not an integer.
	 */
	public static function ids( array $ids ): array {
		$checked = array();
		foreach ( $ids as $id ) {
			if ( ! is_int( $id ) && ( ! is_string( $id ) || (string) (int) $id !== $id ) ) {
				throw new InputException( 'Give ticket ids as integers.', 'ids' );
			}
			$checked[] = (int) $id;
		}
		return $checked;
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
	 * @param string $name The name.
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
	 * How many tickets the request names in a list: its result has as many elements.
	 */
	public function count(): int {
		$lists = array_intersect_key( $this->params, array_flip( array( 'tickets', 'ids', 'entries' ) ) );
		return array() === $lists ? 0 : count( (array) reset( $lists ) );
	}

	/**
	 * The request id; empty: none.
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
	 * Whether the request is about the tickets of a site, as far as the request says.
	 *
	 * @param string $site  The site's name; an empty string where its requests name none.
	 * @param string $table Its table, as `database.table`. A request of an older client names none.
	 */
	public function is_of( string $site, string $table ): bool {
		return $this->site() === $site && in_array( $this->param( 'table' ), array( null, $table ), true );
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
	 * The same request, with further parameters.
	 *
	 * @param array $params Parameters by name.
	 */
	public function with( array $params ): self {
		return array() === $params ? $this : new self( $this->method, $this->params + $params );
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
	 * The pairs of a `set_many`, each as the `set` that the daemon makes of the pair, with the pair's own request id.
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
