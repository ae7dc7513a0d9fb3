/**
 * What those who manage see and do: dashboard, status with charts, flush, dead letters, Site Health.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { control, follow, login, notices, php, settled, shot, visit } from './helpers.mjs';

const manager = process.env.TICKETD_USER;
const status = 'admin.php?page=ticketd-status';
const dead = 'admin.php?page=ticketd-dead';
const change = ( n, fields ) =>
	php( `$all = array(); foreach ( range( 1, ${ n } ) as $id ) { $all[ $id ] = ${ fields }; }
		foreach ( ticketd_set_tickets( $all ) as $done ) { if ( is_wp_error( $done ) ) { fwrite( STDERR, $done->get_error_message() ); exit( 1 ); } }
		echo 1;` );
const value = ( page, name ) => page.locator( `[data-status=${ name }]` ).innerText();

test( 'the dashboard tells agents of tickets and managers of the daemon', async () => {
	const page = await login( manager );
	await visit( page, 'index.php' );
	const widget = page.locator( '#ticketd .inside' );
	assert.match( await widget.innerText(), /Open[\s\S]*ticketd [\s\S]*Dead letters: 0/ );
	assert.deepEqual( await notices( page ), [], 'nothing to act on' );
	await shot( page, 'dashboard', '#ticketd' );
	await follow( page, () => widget.locator( 'a:has-text("Open")' ).click() );
	assert.match( page.url(), /status=open/ );
	await settled( page );
	await page.context().close();

	const agent = await login( 'agent-a' );
	await visit( agent, 'index.php' );
	assert.doesNotMatch( await agent.locator( '#ticketd .inside' ).innerText(), /Dead letters/ );
	assert.equal( await agent.locator( '#adminmenu a:has-text("Dead letters")' ).count(), 0 );
	await agent.context().close();
} );

test( 'flush with progress, charts that follow', async () => {
	const page = await login( manager );
	await change( 40, 'array( "priority" => "normal" )' );
	await visit( page, status );
	await page.locator( '.ticketd-chart .dot' ).first().waitFor();
	assert.match( await page.locator( '#ticketd-chart-dirty-text' ).innerText(), /^Now 40, highest 40/ );
	assert.equal( await value( page, 'dirty' ), '40' );

	// The table is held, so that the flush can be seen at work.
	await control( '/lock' );
	await page.click( '#ticketd-flush button' );
	await page.locator( '#ticketd-flush-text', { hasText: 'Tickets flushed: 0 of 40' } ).waitFor();
	assert.equal( await page.getAttribute( '#ticketd-progress', 'max' ), '40' );
	assert.equal( await page.locator( '#ticketd-flush button' ).isDisabled(), true );
	await shot( page, 'flush' );
	await control( '/unlock' );
	await page.locator( '#ticketd-flush-text', { hasText: 'Done. Tickets flushed: 40' } ).waitFor();
	await page.locator( '[data-status=dirty]', { hasText: /^0$/ } ).waitFor();
	await page.locator( '#ticketd-chart-dirty-text', { hasText: 'Now 0, highest 40' } ).waitFor();
	// Some more, so that the charts have something to show.
	for ( const n of [ 12, 30, 22 ] ) {
		await change( n, 'array( "priority" => "high" )' );
		await page.locator( '#ticketd-chart-dirty-text', { hasText: `Now ${ n },` } ).waitFor();
		await php( 'echo wp_json_encode( ticketd_flush() );' );
		await page.locator( '#ticketd-chart-dirty-text', { hasText: 'Now 0,' } ).waitFor();
	}
	await page.setViewportSize( { width: 1280, height: 720 } ); // above the diagnostics, which differ from run to run
	await shot( page, 'status' );

	await page.click( '#ticketd-pause' );
	assert.equal( await page.locator( '#ticketd-pause' ).innerText(), 'Resume' );
	await settled( page );
	await page.context().close();
} );

test( 'diagnostics can be copied and hold no secrets', async () => {
	const page = await login( manager );
	await page.context().grantPermissions( [ 'clipboard-read', 'clipboard-write' ] );
	await visit( page, status );
	await page.click( '#ticketd-copy' );
	await page.locator( '#ticketd-copied', { hasText: 'Copied' } ).waitFor();
	const text = await page.evaluate( () => navigator.clipboard.readText() );
	assert.match( text, /### ticketd ###[\s\S]*status\.backend: redis/ );
	assert.match( text, /socket: .*socket 0660/ );
	const secrets = await php( 'echo wp_json_encode( array( AUTH_KEY, NONCE_SALT ) );' );
	for ( const secret of secrets ) {
		assert.ok( ! text.includes( secret ) );
	}
	await settled( page );
	await page.context().close();
} );

test( 'the same without a script', async () => {
	const page = await login( manager, { javaScriptEnabled: false } );
	await change( 5, 'array( "priority" => "low" )' );
	await visit( page, status );
	assert.equal( await value( page, 'dirty' ), '5' );
	await follow( page, () => page.click( '#ticketd-flush button' ) );
	assert.match( ( await notices( page ) ).join(), /5 tickets flushed/ );
	assert.equal( await value( page, 'dirty' ), '0' );
	assert.match( await page.inputValue( '#ticketd-diagnostics' ), /status.dirty: 0/ );
	await page.context().close();
} );

test( 'dead letters: shown, retried, dropped', async ( t ) => {
	// Where the test fails, the tests after it find a site that is well.
	t.after( async () => {
		await control( '/sql', 'ALTER TABLE wp_support_tickets DROP CONSTRAINT IF EXISTS known' );
		await php( 'ticketd_retry_dead_letters( null ); echo wp_json_encode( ticketd_flush() );' );
	} );
	await control( '/sql', "ALTER TABLE wp_support_tickets ADD CONSTRAINT known CHECK (category <> 'forbidden')" );
	await change( 3, 'array( "category" => "forbidden", "note" => "if (a<b && c>d) &lt;" )' );
	await php( 'echo wp_json_encode( ticketd_flush() );' );
	const page = await login( manager );
	await visit( page, 'index.php' );
	assert.match( ( await notices( page ) ).join(), /rejects the changes of 3 tickets/ );
	await visit( page, dead );
	assert.equal( await page.locator( 'tbody tr' ).count(), 3 );
	assert.match( await page.locator( 'tbody tr' ).first().innerText(), /known[\s\S]*4025[\s\S]*category: forbidden[\s\S]*note: if \(a<b && c>d\) &lt;/ );
	await page.setViewportSize( { width: 1280, height: 620 } );
	await shot( page, 'dead-letters' );

	// Still rejected: the dead letter comes back.
	await follow( page, () => page.click( 'button[name=retry][value="1"]' ) );
	assert.match( ( await notices( page ) ).join(), /1 ticket is pending again/ );
	await page.waitForFunction( async () => {
		const text = await ( await fetch( location.href ) ).text();
		return text.includes( 'letter-1"' );
	} );
	// Dropped, but not without a question.
	await visit( page, dead );
	await follow( page, () => page.click( 'button[name=drop][value="1"]' ) );
	assert.match( await page.locator( '.ticketd-screen' ).innerText(), /for good: 1\?/ );
	await follow( page, () => page.click( 'a:has-text("Keep them")' ) );
	assert.equal( await page.locator( 'tbody tr' ).count(), 3 );
	await follow( page, () => page.click( 'button[name=drop][value="1"]' ) );
	await follow( page, () => page.click( 'button:has-text("Drop these changes")' ) );
	assert.match( ( await notices( page ) ).join(), /dropped/ );
	assert.equal( await page.locator( 'tbody tr' ).count(), 2 );
	// Corrected, and all retried.
	await control( '/sql', 'ALTER TABLE wp_support_tickets DROP CONSTRAINT known' );
	await page.check( '#cb-select-all-1' );
	await page.selectOption( '#bulk-action-selector-top', 'retry' );
	await follow( page, () => page.click( '#doaction' ) );
	assert.match( ( await notices( page ) ).join(), /2 tickets are pending again/ );
	await page.waitForFunction( async () => {
		const text = await ( await fetch( location.href ) ).text();
		return text.includes( 'no dead letters' );
	} );
	const now = await php( 'echo wp_json_encode( array( ticketd_flush(), ticketd_get_ticket( 1 )["fields"]["category"], ticketd_get_ticket( 2 )["fields"]["category"] ) );' );
	assert.deepEqual( now.slice( 1 ), [ 'delivery', 'forbidden' ] );
	await settled( page );
	await page.context().close();
} );

test( 'Site Health', async () => {
	const page = await login( manager );
	const tests = await php( `
		require_once ABSPATH . 'wp-admin/includes/admin.php';
		$all = array();
		foreach ( WP_Site_Health::get_tests()['direct'] as $name => $test ) {
			if ( 0 === strpos( $name, 'ticketd' ) ) {
				$all[ $name ] = call_user_func( $test['test'] )['status'];
			}
		}
		echo wp_json_encode( $all );` );
	assert.deepEqual( tests, { ticketd_connection: 'good', ticketd_table: 'good', ticketd_store: 'good', ticketd_lag: 'good', ticketd_spool: 'good', ticketd_site: 'good', ticketd_feed: 'good' } );
	await visit( page, 'site-health.php?tab=debug' );
	await page.click( 'button[aria-controls=health-check-accordion-block-ticketd]' );
	assert.match( await page.locator( '#health-check-accordion-block-ticketd' ).innerText(), /status.store.state\s+up/ );
	await page.context().close();
} );
