/**
 * Screens on a telephone: nothing is wider than the window, whatever customers write.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { login, php, shot, visit, visitor } from './helpers.mjs';

const telephone = { width: 390, height: 800 };

async function fits( page, name ) {
	const wide = await page.evaluate( () => document.documentElement.scrollWidth - window.innerWidth );
	assert.ok( wide <= 0, `${ name } is ${ wide } px wider than the window` );
}

test( 'screens fit a telephone', async ( t ) => {
	const id = await php( `
		$made = ticketd_create_ticket( array(
			'subject' => str_repeat( 'Awordwithoutaspace', 10 ), 'status' => 'open', 'message' => str_repeat( 'longer', 40 ),
			'customer_name' => 'A visitor', 'customer_email' => str_repeat( 'an.address.', 5 ) . 'visitor@subdomain.of.example.org',
		) );
		echo wp_json_encode( $made );` );
	t.after( () => php( `echo wp_json_encode( ticketd_delete_ticket( ${ id } ) );` ) );
	const page = await login( process.env.TICKETD_USER, { viewport: telephone } );
	const screens = {
		tickets: 'admin.php?page=ticketd', ticket: `admin.php?page=ticketd&ticket=${ id }`, status: 'admin.php?page=ticketd-status',
		'dead-letters': 'admin.php?page=ticketd-dead',
	};
	for ( const [ name, path ] of Object.entries( screens ) ) {
		await visit( page, path );
		await fits( page, name );
		await shot( page, `${ name }-telephone` );
	}
	await page.context().close();
} );

test( 'the form fits a telephone in both directions', async () => {
	const address = await php( `echo wp_json_encode( get_permalink( wp_insert_post( array(
		'post_type' => 'page', 'post_status' => 'publish', 'post_title' => 'Write to us', 'post_content' => '[ticketd_form]',
	) ) ) );` );
	const page = await visitor( { viewport: telephone } );
	await page.goto( address );
	for ( const direction of [ 'ltr', 'rtl' ] ) {
		await page.evaluate( ( dir ) => {
			document.documentElement.dir = dir;
		}, direction );
		await fits( page, direction );
	}
	await page.context().close();
} );
