<?php
/**
 * Pages of the bench that write and read post meta as help desks do: a must-use plugin.
 *
 * @package Ticketd
 */

/** The posts of each type. */
const BENCH_POSTS = 500;

/**
 * Makes the posts: tickets, articles, and pages with metadata that ticketd does not take. Their ids begin at 1001, 2001 and 3001.
 */
function bench_posts(): void {
	global $wpdb;

	$keys = array(
		'ticket'  => array( '_wpas_is_waiting_client_reply', '_wpas_last_reply_date', '_wpas_last_reply_date_gmt', '_wpas_ttl_replies',
			'_wpas_ttl_replies_by_agent', '_wpas_status' ),
		'article' => array( '_kbs_article_views', '_kbs_article_views_2026-11' ),
		'page'    => array( '_other', '_color' ),
	);
	$first = 1;
	foreach ( $keys as $type => $names ) {
		$first += 1000;
		for ( $id = $first; $id < $first + BENCH_POSTS; $id++ ) {
			$wpdb->insert( $wpdb->posts, array( 'ID' => $id, 'post_type' => $type, 'post_status' => 'publish', 'post_title' => "p$id",
				'post_content' => '', 'post_excerpt' => '', 'to_ping' => '', 'pinged' => '', 'post_content_filtered' => '' ) );
			foreach ( $names as $name ) {
				$wpdb->insert( $wpdb->postmeta, array( 'post_id' => $id, 'meta_key' => $name, 'meta_value' => (string) ( $id % 10 ) ) );
			}
		}
	}
}

add_action(
	'init',
	static function (): void {
		if ( ! isset( $_GET['bench'] ) ) {
			return;
		}
		$n = mt_rand( 0, BENCH_POSTS - 1 );
		switch ( $_GET['bench'] ) {
			case 'reply': // What Awesome Support changes at an agent's reply.
				$id  = 1001 + $n;
				$now = sprintf( '%s.%06d', gmdate( 'Y-m-d H:i:s' ), mt_rand( 0, 999999 ) );
				update_post_meta( $id, '_wpas_last_reply_date', $now );
				update_post_meta( $id, '_wpas_last_reply_date_gmt', $now );
				update_post_meta( $id, '_wpas_is_waiting_client_reply', mt_rand() );
				update_post_meta( $id, '_wpas_ttl_replies', (int) get_post_meta( $id, '_wpas_ttl_replies', true ) + 1 );
				update_post_meta( $id, '_wpas_ttl_replies_by_agent', (int) get_post_meta( $id, '_wpas_ttl_replies_by_agent', true ) + 1 );
				update_post_meta( $id, '_wpas_status', mt_rand() );
				break;
			case 'view': // What KB Support changes at a view of an article.
				foreach ( array( '_kbs_article_views', '_kbs_article_views_2026-11' ) as $key ) {
					update_post_meta( 2001 + $n, $key, (int) get_post_meta( 2001 + $n, $key, true ) + 1 );
				}
				break;
			default: // What no help desk has written: twenty posts' metadata, a change, and a query.
				$query = array( 'post_type' => 'page', 'posts_per_page' => 20, 'meta_key' => '_color', 'meta_value' => (string) ( $n % 10 ) );
				foreach ( ( new WP_Query( $query ) )->posts as $post ) {
					get_post_meta( $post->ID, '_other', true );
				}
				update_post_meta( 3001 + $n, '_other', (string) mt_rand() );
		}
		exit( 'ok' );
	},
	PHP_INT_MAX
);
