/**
 * What the browser tests share: the browser, users who are logged in, the control server, checks that hold on every page.
 */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const env = ( name ) => {
	const value = process.env[ name ];
	if ( ! value ) {
		throw new Error( `${ name } is not set: run this with make test-browser` );
	}
	return value;
};

export const url = env( 'TICKETD_URL' );
const shots = env( 'TICKETD_SHOTS' );

let browser;

export async function open() {
	browser = await chromium.launch( {
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
		args: [
			// A page is complete when its last picture is there: the pictures of other sites (avatars) fail at once.
			'--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
			// Chromium's sandbox does not work for root, as whom containers run.
			...( process.getuid() === 0 ? [ '--no-sandbox' ] : [] ),
		],
	} );
}

export const close = () => browser.close();

/** Has the control server do something to the site; returns what it printed. */
export async function control( what, body = '' ) {
	const response = await fetch( env( 'TICKETD_CONTROL' ) + what, {
		method: 'POST',
		body,
		headers: { Authorization: env( 'TICKETD_SECRET' ) },
	} );
	const text = await response.text();
	assert.ok( response.ok, `${ what }: ${ text }` );
	return text;
}

/** Runs PHP in the site and returns the JSON that it printed. */
export const php = async ( code ) => JSON.parse( await control( '/php', code ) );

/** How long a step may take, in milliseconds. */
const patience = 60000;

/** The password that the tests give every user they make. */
export const password = 'a long password of the tests';

/**
 * Returns a page of a visitor who is not logged in. What goes wrong in it, in the console or as an answer of the server,
 * fails the test that asks for it with settled().
 */
export async function visitor( options = {} ) {
	const context = await browser.newContext( { viewport: { width: 1280, height: 900 }, ...options } );
	context.setDefaultTimeout( patience );
	const page = await context.newPage();
	page.complaints = [];
	page.on( 'pageerror', ( error ) => page.complaints.push( String( error ) ) );
	page.on( 'console', ( message ) => {
		// JQMIGRATE warns of WordPress' own scripts; a resource that was not loaded is in the responses below.
		if ( 'error' === message.type() && ! message.text().startsWith( 'Failed to load resource' ) ) {
			page.complaints.push( message.text() );
		}
	} );
	page.on( 'response', ( response ) => {
		if ( response.status() >= 400 ) {
			page.complaints.push( `${ response.status() } ${ response.url() }` );
		}
	} );
	return page;
}

/** Logs in and returns a visitor's page. */
export async function login( user, options = {} ) {
	const page = await visitor( options );
	await page.goto( `${ url }/wp-login.php` );
	// WordPress' script gives this field the focus 200 ms after the page is there: what is being typed elsewhere would go into it.
	if ( false !== options.javaScriptEnabled ) {
		await page.waitForFunction( () => 'user_login' === document.activeElement?.id );
	}
	await page.fill( '#user_login', user );
	await page.fill( '#user_pass', user === process.env.TICKETD_USER ? env( 'TICKETD_PASSWORD' ) : password );
	await follow( page, () => page.click( '#wp-submit' ) );
	assert.match( page.url(), /wp-admin/, 'logged in' );
	return page;
}

/** Opens a page of wp-admin. */
export const visit = ( page, path ) => page.goto( `${ url }/wp-admin/${ path }` );

/**
 * Does what leads to another page, and waits until that is complete. The document itself is asked: an event of the browser could
 * belong to the page before, or be missed.
 */
export async function follow( page, action ) {
	await page.evaluate( () => {
		document.ticketdLeft = true;
	} );
	await action();
	const there = () => page.evaluate( () => ! document.ticketdLeft && 'complete' === document.readyState );
	const end = Date.now() + patience;
	while ( ! ( await there().catch( () => false ) ) ) { // it fails between two documents
		assert.ok( Date.now() < end, `no other page came after ${ page.url() }` );
		await pause( 20 );
	}
}

/** Fails where the page complained, or where something that can be operated has no name. */
export async function settled( page ) {
	assert.deepEqual( page.complaints, [], 'the page complained' );
	const nameless = await page.evaluate( () => {
		const controls = document.querySelectorAll( '#wpbody a[href], #wpbody button, #wpbody select, #wpbody textarea, #wpbody input:not([type=hidden])' );
		return [ ...controls ].filter( ( control ) => {
			if ( ! control.checkVisibility() ) {
				return false;
			}
			const labels = [ ...( control.labels || [] ) ].map( ( label ) => label.textContent ).join( '' );
			return ! ( labels || control.textContent.trim() || control.getAttribute( 'aria-label' ) ||
				control.getAttribute( 'aria-labelledby' ) || ( 'submit' === control.type && control.value ) );
		} ).map( ( control ) => control.outerHTML );
	} );
	assert.deepEqual( nameless, [], 'controls without a name' );
}

/** Takes a picture of the page, or of a part of it. */
export async function shot( page, name, selector ) {
	const path = `${ shots }/${ name }.png`;
	await ( selector ? page.locator( selector ).screenshot( { path } ) : page.screenshot( { path } ) );
}

/** The texts of a column of the table of tickets. */
export const column = ( page, name ) =>
	page.locator( `.wp-list-table tbody tr > .column-${ name }` ).evaluateAll( ( cells ) =>
		cells.map( ( cell ) => ( cell.querySelector( '.row-title' ) || cell ).firstChild.textContent.trim() || cell.textContent.trim() )
	);

/** The notices of the page. */
export const notices = ( page ) => page.locator( '.ticketd-notice' ).allInnerTexts();
