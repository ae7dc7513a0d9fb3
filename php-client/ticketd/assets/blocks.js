/**
 * The blocks in the editor: the server renders a block, this script has only the settings.
 */
( function ( wp ) {
	'use strict';

	var el = wp.element.createElement;
	var __ = wp.i18n.__;
	var TextControl = wp.components.TextControl;

	/**
	 * Registers a block with one setting.
	 *
	 * @param {string}   name      The block's name.
	 * @param {string}   attribute The setting's name.
	 * @param {string}   label     The setting's label.
	 * @param {string}   type      The type of its field.
	 * @param {Function} read      Makes the setting of what was typed.
	 */
	function register( name, attribute, label, type, read ) {
		wp.blocks.registerBlockType( name, {
			edit: function ( props ) {
				return el(
					'div',
					wp.blockEditor.useBlockProps(),
					el(
						wp.blockEditor.InspectorControls,
						null,
						el(
							wp.components.PanelBody,
							{ title: __( 'Settings', 'ticketd' ) },
							el( TextControl, {
								label: label,
								type: type,
								value: props.attributes[ attribute ],
								onChange: function ( value ) {
									var changed = {};
									changed[ attribute ] = read( value );
									props.setAttributes( changed );
								},
							} )
						)
					),
					el(
						wp.components.Disabled,
						null,
						el( wp.serverSideRender, { block: name, attributes: props.attributes } )
					)
				);
			},
			save: function () {
				return null;
			},
		} );
	}

	register( 'ticketd/form', 'categories', __( 'Categories, separated by commas', 'ticketd' ), 'text', String );
	register( 'ticketd/my-tickets', 'per_page', __( 'Tickets of a page', 'ticketd' ), 'number', function ( value ) {
		return Math.min( 100, Math.max( 1, parseInt( value, 10 ) || 20 ) );
	} );
} )( window.wp );
