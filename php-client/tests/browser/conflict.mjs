/**
 * The ticket: two agents at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, follow, login, notices, php, settled, shot, visit } from './helpers.mjs';

const ticket = 'admin.php?page=ticketd&ticket=9';
const fields = () => php( 'echo wp_json_encode( ticketd_get_ticket( 9 )["fields"] );' );

test( 'an agent changes a ticket', async () => {
	const page = await login( 'agent-a' );
	await visit( page, 'admin.php?page=ticketd&s=%239' );
	await follow( page, () => page.click( '.row-title' ) );
	await page.fill( '#ticketd-field-subject', 'Where is my <b>parcel</b> & "letter"?' );
	await page.selectOption( '#ticketd-field-status', 'pending' );
	await page.selectOption( '#ticketd-field-assigned_to', { label: 'Agent A' } );
	await page.fill( '#ticketd-field-category', 'something else' );
	await page.fill( '#ticketd-field-customer_id', 'customer-2' );
	await follow( page, () => page.click( '#submit' ) );
	assert.match( ( await notices( page ) ).join(), /The ticket is saved/ );
	const now = await fields();
	assert.equal( now.subject, 'Where is my <b>parcel</b> & "letter"?' );
	assert.deepEqual( [ now.status, now.category ], [ 'pending', 'something else' ] );
	assert.equal( await page.inputValue( '#ticketd-field-subject' ), now.subject );
	assert.equal( await page.inputValue( '#ticketd-field-customer_id' ), String( now.customer_id ) );
	await visit( page, 'admin.php?page=ticketd&s=parcel' );
	assert.ok( ( await column( page, 'subject' ) ).includes( now.subject ) );
	await settled( page );
	await page.context().close();
} );

test( 'what another agent changed meanwhile is shown, not overwritten', async () => {
	const [ one, two ] = [ await login( 'agent-a' ), await login( 'agent-b' ) ];
	await visit( one, ticket );
	await visit( two, ticket );
	await two.selectOption( '#ticketd-field-status', 'resolved' );
	await two.selectOption( '#ticketd-field-priority', 'urgent' );
	await follow( two, () => two.click( '#submit' ) );
	assert.match( ( await notices( two ) ).join(), /saved/ );

	await one.selectOption( '#ticketd-field-status', 'closed' );
	await one.fill( '#ticketd-field-subject', 'Where is it?' );
	await follow( one, () => one.click( '#submit' ) );
	assert.match( ( await notices( one ) ).join(), /another user has changed/ );
	let now = await fields();
	assert.deepEqual( [ now.status, now.priority, now.subject.slice( 0, 11 ) ], [ 'resolved', 'urgent', 'Where is my' ] );
	assert.match( await one.locator( '#ticketd-field-status-note' ).innerText(), /from "Pending" to "Resolved".*your "Closed"/ );
	assert.match( await one.locator( '#ticketd-field-priority-note' ).innerText(), /to "Urgent"/ );
	assert.equal( await one.inputValue( '#ticketd-field-priority' ), 'urgent', 'theirs, where I changed nothing' );
	assert.equal( await one.inputValue( '#ticketd-field-subject' ), 'Where is it?', 'mine is kept' );
	await one.setViewportSize( { width: 1280, height: 700 } );
	await shot( one, 'conflict' );
	await settled( one );

	await follow( one, () => one.click( '#submit' ) );
	assert.match( ( await notices( one ) ).join(), /saved/ );
	now = await fields();
	assert.deepEqual( [ now.status, now.priority, now.subject ], [ 'closed', 'urgent', 'Where is it?' ] );
	await settled( two );
	await one.context().close();
	await two.context().close();
} );

test( 'what the table does not take is refused at its field, and nothing typed is lost', async () => {
	const page = await login( 'agent-a' );
	await visit( page, ticket );
	await page.fill( '#ticketd-field-subject', 'x'.repeat( 300 ) );
	await page.fill( '#ticketd-field-category', 'kept' );
	await follow( page, () => page.click( '#submit' ) );
	assert.match( ( await notices( page ) ).join(), /Not saved/ );
	assert.equal( await page.getAttribute( '#ticketd-field-subject', 'aria-invalid' ), 'true' );
	assert.equal( await page.inputValue( '#ticketd-field-category' ), 'kept' );
	await page.fill( '#ticketd-field-subject', 'Where is it?' );
	await page.fill( '#ticketd-field-customer_id', 'nobody-here' );
	await follow( page, () => page.click( '#submit' ) );
	assert.match( await page.locator( '#ticketd-field-customer_id-note' ).innerText(), /no such user/ );
	await page.fill( '#ticketd-field-customer_id', '' );
	await follow( page, () => page.click( '#submit' ) );
	assert.match( ( await notices( page ) ).join(), /saved/ );
	assert.equal( ( await fields() ).customer_id, null );
	await visit( page, 'admin.php?page=ticketd&ticket=999999' );
	assert.match( ( await notices( page ) ).join(), /does not exist|no such ticket/i );
	await settled( page );
	await page.context().close();
} );
