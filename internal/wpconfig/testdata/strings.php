<?php
/**
 * Says what PHP takes for a string in a file's code, without running it: for each file that comes on standard input (four bytes
 * big-endian length, and the bytes) the number of strings, and of each its line and its value, as four bytes and as a length and bytes.
 * Strings that PHP would put together, and what is in them, are left out. A file in which PHP finds what is no token gives -1.
 *
 * @package Ticketd
 */

/**
 * Reads from standard input.
 *
 * @param int $length Number of bytes.
 */
function take( int $length ): string {
	$bytes = '';
	while ( strlen( $bytes ) < $length ) {
		$more = fread( STDIN, $length - strlen( $bytes ) );
		if ( '' !== $more && false !== $more ) {
			$bytes .= $more;
		} elseif ( feof( STDIN ) ) {
			exit( 0 );
		}
	}
	return $bytes;
}

while ( true ) {
	$length  = unpack( 'N', take( 4 ) )[1];
	$source  = $length > 0 ? take( $length ) : '';
	$strings = array();
	$inside  = ''; // What ends the string that PHP puts together here.
	$bad     = false;
	foreach ( token_get_all( $source ) as $token ) {
		$kind = is_array( $token ) ? $token[0] : $token;
		if ( '' !== $inside ) {
			$inside = $kind === $inside ? '' : $inside;
		} elseif ( '"' === $kind || '`' === $kind || 'b"' === $kind ) {
			$inside = substr( $kind, -1 );
		} elseif ( T_START_HEREDOC === $kind ) {
			$inside = T_END_HEREDOC;
		} elseif ( T_CONSTANT_ENCAPSED_STRING === $kind ) {
			// Nothing in it can run: PHP's own scanner says that it is its own value.
			try {
				$strings[] = array( $token[2], eval( "return {$token[1]};" ) );
			} catch ( \ParseError $e ) {
				$bad = true; // Such as "\u{110000}", which is no character.
			}
		}
		$bad = $bad || T_BAD_CHARACTER === $kind || ( T_ENCAPSED_AND_WHITESPACE === $kind && '' === $inside );
	}
	$bad = $bad || '' !== $inside;
	$out = pack( 'N', $bad ? 0xffffffff : count( $strings ) );
	foreach ( $bad ? array() : $strings as list( $line, $value ) ) {
		$out .= pack( 'NN', $line, strlen( $value ) ) . $value;
	}
	fwrite( STDOUT, $out );
}
