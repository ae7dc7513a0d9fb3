<?php
/**
 * Checks the syntax of PHP files. Arguments: folders. Errors are printed, an error a line; the last line is the
 * version and the number of good files.
 */

$ticketd_good = 0;
foreach ( array_slice( $argv, 1 ) as $ticketd_folder ) {
	foreach ( new RecursiveIteratorIterator( new RecursiveDirectoryIterator( $ticketd_folder ) ) as $ticketd_file ) {
		if ( 'php' !== $ticketd_file->getExtension() ) {
			continue;
		}
		try {
			token_get_all( file_get_contents( $ticketd_file->getPathname() ), TOKEN_PARSE );
			++$ticketd_good;
		} catch ( ParseError $e ) {
			printf( "%s:%d: %s\n", $ticketd_file->getPathname(), $e->getLine(), $e->getMessage() );
		}
	}
}
printf( "PHP %s: %d files\n", PHP_VERSION, $ticketd_good );
