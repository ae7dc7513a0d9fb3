/**
 * The form for visitors: with JavaScript and without, what is missing, and what the agent then sees.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, follow, login, php, settled, shot, visit, visitor } from './helpers.mjs';

const address = await php( `
	$id = wp_insert_post( array(
		'post_type' => 'page', 'post_status' => 'publish', 'post_title' => 'Help', 'post_content' => '[ticketd_form]',
	) );
	echo wp_json_encode( get_permalink( $id ) );
` );

/** Fills the form in by the labels that a person reads, and sends it. */
async function send( page, subject ) {
	await page.getByLabel( 'Subject' ).fill( subject );
	await page.getByLabel( 'Message' ).fill( 'It was to come on Monday.' );
	await page.getByLabel( /name/i ).first().fill( 'A visitor' );
	await page.getByLabel( /e-mail|email/i ).first().fill( 'visitor@example.org' );
	await follow( page, () => page.getByRole( 'button', { name: 'Send' } ).click() );
}

for ( const javaScriptEnabled of [ true, false ] ) {
	test( `a visitor opens a ticket, ${ javaScriptEnabled ? 'with' : 'without' } JavaScript`, async () => {
		const subject = `My parcel is late (${ javaScriptEnabled })`;
		const page = await visitor( { javaScriptEnabled } );
		await page.goto( address );
		await send( page, subject );
		assert.match( await page.locator( '#ticketd-form' ).innerText(), /Thank you. Your ticket has the number \d+/ );
		assert.deepEqual( page.complaints, [] );
		await page.context().close();

		const agent = await login( 'agent-a' );
		await visit( agent, 'admin.php?page=ticketd' );
		assert.equal( ( await column( agent, 'subject' ) )[ 0 ], subject );
		await settled( agent );
		await agent.context().close();
	} );
}

test( 'what is missing is said beside its field, and what was typed stays', async () => {
	const page = await visitor();
	await page.goto( address );
	await page.evaluate( () => document.querySelector( '#ticketd-form' ).setAttribute( 'novalidate', '' ) );
	await page.getByLabel( 'Subject' ).fill( 'Only a subject' );
	await follow( page, () => page.getByRole( 'button', { name: 'Send' } ).click() );
	assert.match( await page.getByRole( 'alert' ).innerText(), /check the marked fields/ );
	assert.equal( await page.getByLabel( 'Subject' ).inputValue(), 'Only a subject' );
	await shot( page, 'form' );
	await page.context().close();
} );
