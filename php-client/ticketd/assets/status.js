/**
 * The status screen: shows and draws the daemon's current numbers, and flushes with progress.
 *
 * The page works without this script, with all information and actions.
 */
( function () {
	'use strict';

	var settings = window.ticketdStatus;
	var texts = settings.texts;
	var EVERY_MS = 2000;
	var SHOWN_MS = 5 * 60 * 1000;
	var WIDTH = 320;
	var HEIGHT = 120;
	var LEFT = 8;
	var TOP = 18;
	var BOTTOM = 100;

	var charts = document.getElementById( 'ticketd-charts' );
	var lost = document.getElementById( 'ticketd-lost' );
	var samples = [];
	var paused = false;
	var numbers = makeNumbers();

	/** Writes numbers as the user's language does; an odd locale must not stop the screen. */
	function makeNumbers() {
		try {
			return new Intl.NumberFormat( settings.locale, { maximumFractionDigits: 1 } );
		} catch ( error ) {
			return new Intl.NumberFormat( undefined, { maximumFractionDigits: 1 } );
		}
	}

	/** Fills the places of a translated text. */
	function fill( text, first, second ) {
		return text.replace( /%(?:1\$|(2)\$)?s/g, function ( place, isSecond ) {
			return isSecond ? second : first;
		} );
	}

	/** Calls a route; fails with the error's text. */
	function call( url, method ) {
		return fetch( url, {
			method: method,
			credentials: 'same-origin',
			headers: { 'X-WP-Nonce': settings.nonce, Accept: 'application/json' },
		} ).then( function ( response ) {
			return response.json().then( function ( body ) {
				if ( ! response.ok ) {
					throw new Error( body.message || response.statusText );
				}
				return body;
			} );
		} );
	}

	/** Makes an SVG element. */
	function shape( name, attributes, text ) {
		var element = document.createElementNS( 'http://www.w3.org/2000/svg', name );
		Object.keys( attributes ).forEach( function ( key ) {
			element.setAttribute( key, attributes[ key ] );
		} );
		if ( text !== undefined ) {
			element.textContent = text;
		}
		return element;
	}

	/** The highest value of the axis: easy to read, and never 0. */
	function ceiling( highest ) {
		var step = Math.pow( 10, Math.floor( Math.log10( Math.max( highest, 1 ) ) ) );
		return [ 1, 2, 5, 10 ].map( function ( n ) {
			return n * step;
		} ).find( function ( top ) {
			return top >= highest;
		} );
	}

	/** Draws a chart: a line over time, the axis from 0, and the same in words. */
	function draw( figure ) {
		var name = figure.dataset.chart;
		var svg = figure.querySelector( 'svg' );
		var last = samples[ samples.length - 1 ];
		var highest = Math.max.apply( null, samples.map( function ( sample ) {
			return sample[ name ];
		} ) );
		var top = ceiling( highest );
		var span = Math.max( last.at - samples[ 0 ].at, 10 * EVERY_MS );
		var points = samples.map( function ( sample ) {
			var x = WIDTH - LEFT - ( last.at - sample.at ) / span * ( WIDTH - 2 * LEFT );
			var y = BOTTOM - sample[ name ] / top * ( BOTTOM - TOP );
			return x.toFixed( 1 ) + ',' + y.toFixed( 1 );
		} );
		var first = points[ 0 ].split( ',' )[ 0 ];
		var end = points[ points.length - 1 ].split( ',' );

		svg.replaceChildren(
			shape( 'line', { x1: LEFT, x2: WIDTH - LEFT, y1: TOP, y2: TOP, class: 'grid' } ),
			shape( 'polygon', { points: first + ',' + BOTTOM + ' ' + points.join( ' ' ) + ' ' + end[ 0 ] + ',' + BOTTOM, class: 'area' } ),
			shape( 'line', { x1: LEFT, x2: WIDTH - LEFT, y1: BOTTOM, y2: BOTTOM, class: 'axis' } ),
			shape( 'polyline', { points: points.join( ' ' ), class: 'line' } ),
			shape( 'circle', { cx: end[ 0 ], cy: end[ 1 ], r: 3, class: 'dot' } ),
			shape( 'text', { x: LEFT, y: TOP - 5 }, numbers.format( top ) ),
			shape( 'text', { x: LEFT, y: HEIGHT - 6 }, fill( texts.ago, numbers.format( Math.round( span / 1000 ) ) ) ),
			shape( 'text', { x: WIDTH - LEFT, y: HEIGHT - 6, 'text-anchor': 'end' }, texts.now )
		);
		figure.querySelector( 'p' ).textContent = fill( texts.summary, numbers.format( last[ name ] ), numbers.format( highest ) );
	}

	/** Puts the daemon's current status into the table and the charts. */
	function take( answer ) {
		var now = Date.now();
		var before = samples[ samples.length - 1 ];
		var status = answer.status;
		var rate = 0;
		if ( before && status.flushed_rows > before.rows ) {
			rate = ( status.flushed_rows - before.rows ) / ( ( now - before.at ) / 1000 );
		}
		samples.push( { at: now, rows: status.flushed_rows, dirty: status.dirty, rate: rate, oldest: status.oldest_dirty_ms / 1000 } );
		samples = samples.filter( function ( sample ) {
			return now - sample.at <= SHOWN_MS;
		} );
		document.querySelectorAll( '[data-status]' ).forEach( function ( cell ) {
			cell.textContent = answer.shown[ cell.dataset.status ];
		} );
		charts.querySelectorAll( 'figure' ).forEach( draw );
		charts.hidden = false;
		lost.hidden = true;
		return status;
	}

	/** Says why there are no numbers. The last known numbers stay. */
	function tellLost( error ) {
		var text = fill( texts.lost, error.message );
		// The same text again would be read out again.
		if ( lost.hidden || lost.textContent !== text ) {
			lost.textContent = text;
			lost.hidden = false;
		}
	}

	/** Asks for the numbers once. */
	function refresh() {
		return call( settings.status, 'GET' ).then( take ).catch( tellLost );
	}

	/** Asks again and again while the page is visible. */
	function follow() {
		var asked = paused || document.hidden ? Promise.resolve() : refresh();
		asked.then( function () {
			window.setTimeout( follow, EVERY_MS );
		} );
	}

	/** Flushes: the request waits, the status shows the progress. */
	function flush( form ) {
		var bar = document.getElementById( 'ticketd-progress' );
		var text = document.getElementById( 'ticketd-flush-text' );
		var button = form.querySelector( 'button' );
		var total = 0;
		var running = true;

		function show() {
			return call( settings.status, 'GET' ).then( take ).then( function ( status ) {
				total = Math.max( total, status.dirty );
				if ( running && total > 0 ) {
					bar.max = total;
					bar.value = total - status.dirty;
					text.textContent = fill( texts.progress, numbers.format( total - status.dirty ), numbers.format( total ) );
				}
			} ).catch( tellLost );
		}
		function watch() {
			if ( running ) {
				show().then( function () {
					window.setTimeout( watch, 500 );
				} );
			}
		}
		function go() {
			return call( settings.flush, 'POST' ).then( function ( result ) {
				return result.finished ? result : go();
			} );
		}
		button.disabled = true;
		bar.hidden = false;
		bar.removeAttribute( 'value' );
		text.textContent = texts.starting;
		show().then( function () {
			watch();
			return go();
		} ).then( function ( result ) {
			bar.max = 1;
			bar.value = 1;
			return fill( texts.flushed, numbers.format( result.flushed ), numbers.format( result.dead ) );
		} ).catch( function ( error ) {
			bar.hidden = true;
			return fill( texts.failed, error.message );
		} ).then( function ( outcome ) {
			running = false;
			button.disabled = false;
			text.textContent = outcome;
			button.focus();
			refresh();
		} );
	}

	/** Copies the diagnostics. */
	function copy() {
		var area = document.getElementById( 'ticketd-diagnostics' );
		area.select();
		if ( navigator.clipboard ) {
			navigator.clipboard.writeText( area.value );
		} else {
			document.execCommand( 'copy' );
		}
		document.getElementById( 'ticketd-copied' ).textContent = texts.copied;
	}

	var copyButton = document.getElementById( 'ticketd-copy' );
	copyButton.hidden = false;
	copyButton.addEventListener( 'click', copy );

	if ( ! charts ) {
		return;
	}
	document.getElementById( 'ticketd-flush' ).addEventListener( 'submit', function ( event ) {
		event.preventDefault();
		flush( event.currentTarget );
	} );
	document.getElementById( 'ticketd-pause' ).addEventListener( 'click', function ( event ) {
		paused = ! paused;
		event.currentTarget.textContent = paused ? texts.resume : texts.pause;
	} );
	follow();
}() );
