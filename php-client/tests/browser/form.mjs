/**
 * The form for visitors: with JavaScript and without, what is missing, and what the agent then sees.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, follow, login, php, settled, shot, visit, visitor } from './helpers.mjs';

const address = await php( `
	$id = wp_insert_post( array(
		'post_type' => 'page', 'post_status' => 'publish', 'post_title' => 'Help',
		'post_content' => "[ticketd_form]\\n\\n[ticketd_my_tickets]",
	) );
	echo wp_json_encode( get_permalink( $id ) );
` );

/** Fills the form in by the labels that a person reads, and sends it. */
async function send( page, subject ) {
	await page.getByLabel( 'Subject' ).fill( subject );
	await page.getByLabel( 'Message' ).fill( 'It was to come on Monday.\n  Tracking: <A-7>' );
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
		assert.match( await agent.locator( 'td.column-customer_id' ).first().innerText(), /^A visitor\nvisitor@example.org$/ );
		await settled( agent );
		await follow( agent, () => agent.click( '.row-title >> nth=0' ) );
		const message = agent.locator( '.ticketd-message' );
		assert.match( await message.innerText(), /A visitor visitor@example.org \(guest\)\n+It was to come on Monday\.\n {2}Tracking: <A-7>$/ );
		assert.ok( ( await message.boundingBox() ).y < ( await agent.locator( '#ticketd-field-subject' ).boundingBox() ).y );
		await settled( agent );
		await shot( agent, 'ticket' );
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
	const subject = await page.getByLabel( 'Subject' ).boundingBox();
	assert.ok( subject.width > 400, `the subject has ${ subject.width } px` );
	await shot( page, 'form' );
	await page.setViewportSize( { width: 390, height: 900 } );
	assert.ok( await page.evaluate( () => document.documentElement.scrollWidth <= window.innerWidth ), 'the form fits a telephone' );
	await shot( page, 'form-narrow' );
	await page.context().close();
} );

test( 'customers see their tickets, on a telephone as cards', async () => {
	const page = await login( 'customer-1' );
	await page.goto( address );
	page.complaints.length = 0; // WordPress' profile page, to which customers are led, may complain when it is left early.
	const table = page.locator( '.ticketd-my-tickets table' );
	const rows = await table.locator( 'tbody tr' ).count();
	assert.ok( rows > 1 );
	assert.match( await table.locator( 'tbody' ).innerText(), /Resolved/, 'labels' );
	// Short words are on one line.
	const status = table.locator( 'tbody td:nth-child(3)' ).first();
	const lines = await status.evaluate( ( cell ) => {
		const range = document.createRange();
		range.selectNodeContents( cell );
		return range.getClientRects().length;
	} );
	assert.equal( lines, 1 );
	await table.scrollIntoViewIfNeeded();
	await shot( page, 'my-tickets' );
	await page.setViewportSize( { width: 390, height: 900 } );
	assert.ok( await page.evaluate( () => document.documentElement.scrollWidth <= window.innerWidth ), 'the table fits a telephone' );
	await table.scrollIntoViewIfNeeded();
	await shot( page, 'my-tickets-narrow' );
	await follow( page, () => table.locator( 'a' ).first().click() );
	assert.match( await page.locator( '.ticketd-my-tickets dl' ).innerText(), /Number/ );
	assert.deepEqual( page.complaints, [] );
	await page.context().close();
} );

test( 'the editor shows both blocks', async () => {
	const page = await login( process.env.TICKETD_USER );
	const names = [ 'ticketd/form', 'ticketd/my-tickets' ];
	await visit( page, 'post-new.php?post_type=page' );
	await page.waitForFunction( () => window.wp?.data?.select( 'core/editor' )?.getCurrentPostId() );
	const versions = await page.evaluate( ( all ) => all.map( ( name ) => wp.blocks.getBlockType( name ).apiVersion ), names );
	assert.deepEqual( versions, [ 3, 3 ] );
	await page.evaluate( ( all ) =>
		wp.data.dispatch( 'core/block-editor' ).insertBlocks( all.map( ( name ) => wp.blocks.createBlock( name ) ) ), names );
	// A newer WordPress has the page that is edited in a frame, where all its blocks are of version 3.
	await page.locator( '[data-type="ticketd/form"], iframe[name=editor-canvas]' ).first().waitFor( { state: 'attached' } );
	const frame = await page.locator( 'iframe[name=editor-canvas]' ).count();
	const canvas = frame ? page.frameLocator( 'iframe[name=editor-canvas]' ) : page;
	await canvas.locator( '[data-type="ticketd/form"] #ticketd-subject' ).waitFor();
	await canvas.locator( '[data-type="ticketd/my-tickets"] .ticketd-my-tickets' ).waitFor();
	await shot( page, 'blocks' );
	assert.deepEqual( page.complaints.filter( ( text ) => text.includes( 'ticketd' ) ), [] );
	await page.context().close();
} );
