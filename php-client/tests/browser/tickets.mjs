/**
 * The list of tickets: filters, search, sort, pages, bulk changes, screen options.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, follow, login, notices, php, settled, shot, visit } from './helpers.mjs';

const list = 'admin.php?page=ticketd';

test( 'the list shows what is not in the database yet, and counts it', async () => {
	const page = await login( 'agent-a' );
	await visit( page, list );
	assert.equal( ( await column( page, 'subject' ) ).length, 50 );
	const all = await page.locator( '.subsubsub .all' ).innerText();
	assert.match( all, /All \(64\)/ );
	await php( 'echo wp_json_encode( ticketd_set_ticket( 1, array( "subject" => "Changed a moment ago" ) ) );' );
	await page.reload();
	assert.equal( ( await column( page, 'subject' ) )[ 0 ], 'Changed a moment ago' );
	await page.setViewportSize( { width: 1280, height: 720 } );
	const widths = await page.locator( 'thead th:visible' ).evaluateAll( ( heads ) => heads.map( ( head ) => head.offsetWidth ) );
	assert.ok( Math.min( ...widths ) > 70, `a column is squeezed: ${ widths }` );
	await shot( page, 'tickets' );
	await settled( page );
	await page.context().close();
} );

test( 'filters, search and sort', async () => {
	const page = await login( 'agent-a' );
	const numbers = async ( query ) => {
		await visit( page, list + query );
		return page.locator( '.displaying-num' ).first().innerText();
	};
	assert.equal( await numbers( '' ), '64 tickets' );
	await follow( page, () => page.click( '.subsubsub a:has-text("Pending")' ) );
	assert.deepEqual( new Set( await column( page, 'status' ) ), new Set( [ 'Pending' ] ) );

	await visit( page, list );
	await page.selectOption( '#ticketd-assigned_to', { label: 'Agent A' } );
	await page.selectOption( '#ticketd-priority', 'high' );
	await page.fill( '#ticketd-customer', 'customer-1@example.org' );
	await page.fill( '#ticketd-category', 'returns' );
	await follow( page, () => page.click( '.ticketd-filters [type=submit]' ) );
	assert.deepEqual( new Set( await column( page, 'assigned_to' ) ), new Set( [ 'Agent A' ] ) );
	assert.deepEqual( new Set( await column( page, 'priority' ) ), new Set( [ 'High' ] ) );
	assert.deepEqual( new Set( await column( page, 'customer_id' ) ), new Set( [ 'Customer 1' ] ) );
	assert.deepEqual( new Set( await column( page, 'category' ) ), new Set( [ 'Returns' ] ) );
	await follow( page, () => page.click( '.ticketd-filters a:has-text("Show all")' ) );

	await page.fill( '#ticketd-s', '100%' );
	await follow( page, () => page.press( '#ticketd-s', 'Enter' ) );
	assert.equal( ( await column( page, 'subject' ) ).length, 8 );
	await page.fill( '#ticketd-s', '#7' );
	await follow( page, () => page.press( '#ticketd-s', 'Enter' ) );
	assert.deepEqual( await column( page, 'ticket_id' ), [ '#7' ] );
	await page.fill( '#ticketd-s', 'nobody wrote this' );
	await follow( page, () => page.press( '#ticketd-s', 'Enter' ) );
	assert.match( await page.locator( '.no-items' ).innerText(), /No ticket/ );

	await visit( page, list + '&assigned_to=none' );
	assert.deepEqual( new Set( await column( page, 'assigned_to' ) ), new Set( [ 'Unassigned' ] ) );
	await visit( page, list + '&customer=nobody-here' );
	assert.match( await page.locator( '.no-items' ).innerText(), /No ticket/ );

	await visit( page, list );
	await follow( page, () => page.click( 'thead .column-ticket_id a' ) );
	const ids = ( await column( page, 'ticket_id' ) ).map( ( text ) => Number( text.slice( 1 ) ) );
	assert.deepEqual( ids, [ ...ids ].sort( ( a, b ) => b - a ) );
	await follow( page, () => page.click( 'thead .column-ticket_id a' ) );
	assert.equal( ( await column( page, 'ticket_id' ) )[ 0 ], '#1' );
	await settled( page );
	await page.context().close();
} );

test( 'pages continue where the one before ended, and lead back', async () => {
	const page = await login( 'agent-a' );
	await visit( page, list + '&orderby=ticket_id&order=asc' );
	await follow( page, () => page.click( '.tablenav.top a:has-text("Next page")' ) );
	assert.equal( ( await column( page, 'ticket_id' ) )[ 0 ], '#51' );
	assert.match( await page.locator( '.tablenav.top .ticketd-page' ).innerText(), /Page 2/ );
	await follow( page, () => page.click( '.tablenav.top a:has-text("Previous page")' ) );
	assert.equal( ( await column( page, 'ticket_id' ) )[ 0 ], '#1' );
	await follow( page, () => page.click( '.tablenav.top a:has-text("Next page")' ) );
	// Another sort begins at its first page.
	await follow( page, () => page.click( 'thead .column-ticket_id a' ) );
	assert.equal( ( await column( page, 'ticket_id' ) )[ 0 ], '#64' );
	await settled( page );
	await page.context().close();
} );

test( 'bulk changes', async () => {
	const page = await login( 'agent-a' );
	await visit( page, list + '&orderby=ticket_id&order=asc' );
	for ( const id of [ 1, 2, 3 ] ) {
		await page.check( `#ticket-${ id }` );
	}
	await page.selectOption( '#bulk-action-selector-top', { label: 'Closed' } );
	await follow( page, () => page.click( '#doaction' ) );
	assert.match( ( await notices( page ) ).join(), /3 tickets changed/ );
	assert.deepEqual( ( await column( page, 'status' ) ).slice( 0, 3 ), [ 'Closed', 'Closed', 'Closed' ] );
	assert.equal( ( await column( page, 'ticket_id' ) )[ 0 ], '#1', 'the sort is kept' );
	await page.check( '#ticket-1' );
	await page.selectOption( '#bulk-action-selector-top', 'take' );
	await follow( page, () => page.click( '#doaction' ) );
	assert.equal( ( await column( page, 'assigned_to' ) )[ 0 ], 'Agent A' );
	await page.selectOption( '#bulk-action-selector-top', 'take' );
	// A newer WordPress says so itself, and sends nothing.
	await page.click( '#doaction' );
	await page.locator( '.notice', { hasText: /Nothing was changed|select at least one item/ } ).waitFor();
	await settled( page );
	await page.context().close();
} );

test( 'screen options, and the list without a script', async () => {
	const page = await login( 'agent-b', { javaScriptEnabled: false } );
	await visit( page, list );
	assert.equal( ( await column( page, 'subject' ) ).length, 50 );
	await page.selectOption( '#bulk-action-selector-top', { label: 'Pending' } );
	await page.check( '#ticket-1' );
	await follow( page, () => page.click( '#doaction' ) );
	assert.match( ( await notices( page ) ).join(), /1 ticket changed/ );
	await page.context().close();

	const scripted = await login( 'agent-b' );
	await visit( scripted, list );
	await scripted.click( '#show-settings-link' );
	await scripted.fill( '#ticketd_tickets_per_page', '20' );
	await scripted.uncheck( '#category-hide' );
	await follow( scripted, () => scripted.click( '#screen-options-apply' ) );
	assert.equal( ( await column( scripted, 'subject' ) ).length, 20 );
	assert.equal( await scripted.locator( 'thead .column-category' ).isVisible(), false );
	await settled( scripted );
	await scripted.setViewportSize( { width: 400, height: 800 } );
	await shot( scripted, 'tickets-narrow' );
	await scripted.context().close();
} );
