/**
 * The history of a ticket.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { follow, login, php, settled, shot, visit } from './helpers.mjs';

const ticket = 'admin.php?page=ticketd&ticket=11';

/** The changes of the page, each on one line, without the time and the words for screen readers. */
const changes = ( page ) => page.locator( '#ticketd-history ol > li' ).evaluateAll( ( items ) =>
	items.map( ( item ) => {
		const copy = item.cloneNode( true );
		copy.querySelectorAll( 'time, .screen-reader-text' ).forEach( ( part ) => part.remove() );
		return copy.textContent.replace( /\s+/g, ' ' ).trim();
	} )
);

for ( const javaScriptEnabled of [ true, false ] ) {
	test( `the history says who changed what, ${ javaScriptEnabled ? 'with' : 'without' } a script`, async () => {
		const page = await login( 'agent-a', { javaScriptEnabled } );
		await visit( page, ticket );
		for ( const status of [ 'pending', 'resolved' ] ) {
			await page.selectOption( '#ticketd-field-status', status );
			await follow( page, () => page.click( '#submit' ) );
		}
		const seen = await changes( page );
		assert.match( seen[ 0 ], /^Agent A *Status: Pending → Resolved$/ );
		assert.match( seen[ 1 ], /^Agent A *Status: .* → Pending$/ );
		assert.match( await page.locator( '#ticketd-history time' ).first().getAttribute( 'title' ), /20\d\d/ );
		// By the keyboard alone: the field, the button, the older changes.
		await page.focus( '#ticketd-history-field' );
		// Not by its first letters: on a busy machine the pause between two of them begins another word.
		for ( let n = 0; n < 10 && 'status' !== await page.inputValue( '#ticketd-history-field' ); n++ ) {
			await page.keyboard.press( 'ArrowDown' );
		}
		await page.keyboard.press( 'Tab' );
		await follow( page, () => page.keyboard.press( 'Enter' ) );
		assert.match( page.url(), /history_field=status/ );
		assert.ok( ( await changes( page ) ).every( ( item ) => item.includes( 'Status: ' ) ) );
		assert.equal( await page.inputValue( '#ticketd-history-field' ), 'status' );
		await settled( page );
		await page.context().close();
	} );
}

test( 'older changes are on pages of twenty', async () => {
	await php( `
		for ( $n = 0; $n < 45; $n++ ) {
			ticketd_set_ticket( 11, array( 'category' => 'c' . $n ) );
		}
		echo '"done"';
	` );
	const page = await login( 'agent-b' );
	await visit( page, ticket );
	const first = await changes( page );
	assert.equal( first.length, 20 );
	assert.match( first[ 0 ], /Category: c43 → c44$/ );
	await page.locator( '#ticketd-history' ).scrollIntoViewIfNeeded();
	await shot( page, 'history', '#ticketd-history' );
	await follow( page, () => page.click( '#ticketd-history a[rel=next]' ) );
	const second = await changes( page );
	assert.match( second[ 0 ], /Category: c23 → c24$/ );
	await follow( page, () => page.click( 'text=Newest changes' ) );
	assert.deepEqual( await changes( page ), first );
	await settled( page );
	await page.context().close();
} );
