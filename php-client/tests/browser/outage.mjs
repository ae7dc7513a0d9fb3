/**
 * The screens while the daemon, or its Redis, is away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { column, control, follow, login, notices, php, shot, visit } from './helpers.mjs';

const manager = process.env.TICKETD_USER;

test( 'without Redis the screens say what may be missing', async () => {
	await php( 'echo wp_json_encode( ticketd_flush() );' );
	const page = await login( manager );
	await control( '/redis/stop' );
	await visit( page, 'admin.php?page=ticketd' );
	assert.match( ( await notices( page ) ).join(), /pending changes may be missing/ );
	assert.equal( ( await column( page, 'subject' ) ).length, 50 );
	await visit( page, 'admin.php?page=ticketd-status' );
	assert.match( ( await notices( page ) ).join(), /store of pending changes has been unreachable/ );
	assert.match( await page.locator( '[data-status=store]' ).innerText(), /Redis, down/ );
	await visit( page, 'admin.php?page=ticketd&ticket=9' );
	assert.match( ( await notices( page ) ).join(), /pending changes may be missing/ );
	await control( '/redis/start' );
	await page.waitForFunction( async () => {
		const text = await ( await fetch( 'admin.php?page=ticketd' ) ).text();
		return ! text.includes( 'may be missing' );
	} );
	await page.context().close();
} );

test( 'without the daemon agents see the database, and what they type is not lost', async () => {
	const agent = await login( 'agent-a' );
	await visit( agent, 'admin.php?page=ticketd&ticket=9' );
	const page = await login( manager );
	await visit( page, 'admin.php?page=ticketd-status' );
	await page.locator( '.ticketd-chart .dot' ).first().waitFor();
	await control( '/ticketd/stop' );

	await page.locator( '#ticketd-lost', { hasText: 'cannot be read' } ).waitFor();
	await page.click( '#ticketd-flush button' );
	await page.locator( '#ticketd-flush-text', { hasText: 'Not flushed' } ).waitFor();
	await visit( page, 'index.php' );
	assert.match( ( await notices( page ) ).join(), /ticketd does not answer/ );
	await visit( page, 'admin.php?page=ticketd' );
	assert.match( ( await notices( page ) ).join(), /pending changes may be missing/ );
	assert.equal( ( await column( page, 'subject' ) ).length, 50 );
	await shot( page, 'outage' );
	await visit( page, 'admin.php?page=ticketd-dead' );
	assert.equal( await page.locator( '.ticketd-notice.notice-error' ).count() > 0, true );

	await agent.fill( '#ticketd-field-subject', 'Typed during the outage' );
	await follow( agent, () => agent.click( '#submit' ) );
	assert.match( ( await notices( agent ) ).join(), /Not saved/ );
	assert.equal( await agent.inputValue( '#ticketd-field-subject' ), 'Typed during the outage' );
	await control( '/ticketd/start' );
	await follow( agent, () => agent.click( '#submit' ) );
	assert.match( ( await notices( agent ) ).join(), /saved/ );
	await page.context().close();
	await agent.context().close();
} );
