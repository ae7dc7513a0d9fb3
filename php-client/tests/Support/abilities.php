<?php
/**
 * Stand-ins for the Abilities API, which the WordPress of the tests does not have yet.
 *
 * @package Ticketd
 */

use Ticketd\Tests\Support\Site;

/**
 * Notes a category.
 *
 * @param string $name The category.
 * @param array  $args What it is like.
 */
function wp_register_ability_category( string $name, array $args ): void {
	Site::$abilities[ $name ] = $args;
}

/**
 * Notes an ability.
 *
 * @param string $name The ability.
 * @param array  $args What it is like.
 */
function wp_register_ability( string $name, array $args ): void {
	Site::$abilities[ $name ] = $args;
}
