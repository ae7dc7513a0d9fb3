<?php
/**
 * What callers give the client.
 *
 * @package Ticketd
 */

namespace Ticketd\Client;

/**
 * Refuses arguments whose shape the protocol has no place for. What they mean is for the daemon to judge.
 */
final class Arguments {

	/**
	 * Refuses what cannot be a field's value, before a codec finds its own idea of an object or an array.
	 *
	 * @param array $fields Values by field name.
	 * @return array The same.
	 * @throws InputException If a value is not a single one.
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
	 * Refuses what is no argument of a list, before a codec finds its own idea of it, and makes lists of alternatives:
	 * an array with gaps, as a filter leaves it, would become a map.
	 *
	 * @param array $args What list_tickets() takes.
	 * @return array The same.
	 * @throws InputException If an argument is of another shape.
	 */
	public static function query( array $args ): array {
		foreach ( $args as $name => $value ) {
			if ( ! in_array( $name, array( 'where', 'contains', 'created_at', 'updated_at' ), true ) ) {
				self::fields( array( $name => $value ) );
				continue;
			}
			if ( ! is_array( $value ) ) {
				throw new InputException( 'Give an array of values by name.', $name );
			}
			foreach ( $value as $field => $values ) {
				if ( 'where' === $name && is_array( $values ) ) {
					$args['where'][ $field ] = self::choices( (string) $field, array_values( $values ) );
				} else {
					self::fields( array( $field => $values ) );
				}
			}
		}
		return $args;
	}

	/**
	 * Refuses alternatives that are not single values.
	 *
	 * @param string $field  The field's name.
	 * @param array  $values The list.
	 * @return array The same.
	 */
	private static function choices( string $field, array $values ): array {
		foreach ( $values as $value ) {
			self::fields( array( $field => $value ) );
		}
		return $values;
	}

	/**
	 * Refuses what is no integer. A decimal string is one: that is what a database's result holds.
	 *
	 * @param array $ids Ticket ids.
	 * @return int[] The same, as a list of integers.
	 * @throws InputException If one is not an integer.
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
}
