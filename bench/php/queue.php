<?php
/**
 * Brings the tickets of EventWay or ScheduledWay to MySQL. Arguments: a JSON file with the addresses, and `event` or
 * `scheduled`.
 *
 * `event` waits for queued tickets and upserts each with a commit of its own; after the queued id 0 it prints `done`.
 *
 * `scheduled` upserts batches of 100 for each line on the standard input until no ticket is marked, then prints `done`.
 * Each batch has the statements of one action of Action Scheduler: the action's row, claim, changes of state, log
 * entries and successor. Left out, in this way's favour: loading WordPress for each run, the options and locks of the
 * runner, and the removal of old actions.
 *
 * @package Ticketd
 */

namespace Ticketd\Bench;

/** The columns that a write of the benchmark changes. */
const COLUMNS = array( 'status', 'priority', 'assigned_to', 'category' );

/** How many tickets a scheduled batch has. */
const BATCH = 100;

$places = json_decode( file_get_contents( $argv[1] ), true );
mysqli_report( MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT );
$mysqli = new \mysqli( 'localhost', 'root', '', $places['database'], 0, $places['mysql'] );
$mysqli->set_charset( 'utf8mb4' );
$redis = new \Redis();
$redis->connect( $places['redis'], $places['redis_port'] );
$redis->auth( $places['redis_password'] );
$redis->select( 1 );
$redis->setOption( \Redis::OPT_READ_TIMEOUT, '-1' );
echo "ready\n";
if ( 'event' === $argv[2] ) {
	follow_queue( $redis, $mysqli );
}
while ( 'scheduled' === $argv[2] && false !== fgets( STDIN ) ) {
	while ( run_action( $redis, $mysqli ) === BATCH ) {
		continue;
	}
	echo "done\n";
}

/**
 * Upserts queued tickets, one by one, for ever.
 *
 * @param \Redis  $redis  The source.
 * @param \mysqli $mysqli The destination.
 */
function follow_queue( \Redis $redis, \mysqli $mysqli ): void {
	$upsert = $mysqli->prepare(
		'INSERT INTO plain_tickets (ticket_id, status, priority, assigned_to, category, updated_at)' .
		' VALUES (?, ?, ?, ?, ?, NOW()) ON DUPLICATE KEY UPDATE ' . assignments()
	);
	$upsert->bind_param( 'issis', $id, $status, $priority, $assigned_to, $category );
	while ( true ) {
		$id = (int) $redis->blPop( 'plain:queue', 0 )[1];
		if ( 0 === $id ) {
			echo "done\n";
			continue;
		}
		$ticket      = $redis->hGetAll( "plain:$id" );
		$status      = $ticket['status'];
		$priority    = $ticket['priority'] ?? '';
		$assigned_to = (int) $ticket['assigned_to'];
		$category    = $ticket['category'] ?? '';
		$upsert->execute();
	}
}

/**
 * Runs an action of Action Scheduler whose callback upserts one batch; returns the number of tickets.
 *
 * @param \Redis  $redis  The source.
 * @param \mysqli $mysqli The destination.
 */
function run_action( \Redis $redis, \mysqli $mysqli ): int {
	$mysqli->query( 'INSERT INTO actionscheduler_claims (date_created_gmt) VALUES (UTC_TIMESTAMP())' );
	$claim = $mysqli->insert_id;
	$mysqli->query(
		"UPDATE actionscheduler_actions SET claim_id = $claim, last_attempt_gmt = UTC_TIMESTAMP() WHERE claim_id = 0" .
		" AND scheduled_date_gmt <= UTC_TIMESTAMP() AND status = 'pending'" .
		' ORDER BY priority ASC, attempts ASC, scheduled_date_gmt ASC, action_id ASC LIMIT 25'
	);
	$found = $mysqli->query( "SELECT action_id FROM actionscheduler_actions WHERE claim_id = $claim" )->fetch_all();
	if ( array() === $found ) {
		schedule_action( $mysqli );
		$mysqli->query( "DELETE FROM actionscheduler_claims WHERE claim_id = $claim" );
		return run_action( $redis, $mysqli );
	}
	$action = (int) $found[0][0];
	$mysqli->query( "SELECT * FROM actionscheduler_actions WHERE action_id = $action" )->fetch_assoc();
	log_action( $mysqli, $action, 'action started' );
	$mysqli->query(
		"UPDATE actionscheduler_actions SET attempts = attempts + 1, status = 'in-progress'," .
		" last_attempt_gmt = UTC_TIMESTAMP() WHERE action_id = $action"
	);
	$written = write_batch( $redis, $mysqli );
	$mysqli->query(
		"UPDATE actionscheduler_actions SET status = 'complete', last_attempt_gmt = UTC_TIMESTAMP()" .
		" WHERE action_id = $action"
	);
	log_action( $mysqli, $action, 'action complete' );
	schedule_action( $mysqli );
	$mysqli->query( "UPDATE actionscheduler_actions SET claim_id = 0 WHERE claim_id = $claim" );
	$mysqli->query( "DELETE FROM actionscheduler_claims WHERE claim_id = $claim" );
	return $written;
}

/**
 * Makes the row of the next action.
 *
 * @param \mysqli $mysqli The server.
 */
function schedule_action( \mysqli $mysqli ): void {
	$mysqli->query(
		"INSERT INTO actionscheduler_actions (hook, status, scheduled_date_gmt, args, schedule, group_id)" .
		" VALUES ('sync_tickets', 'pending', UTC_TIMESTAMP(), '[]', 'O:30:\"ActionScheduler_SimpleSchedule\":0:{}', 1)"
	);
	log_action( $mysqli, $mysqli->insert_id, 'action created' );
}

/**
 * Writes an entry of an action's log.
 *
 * @param \mysqli $mysqli  The server.
 * @param int     $action  The action's id.
 * @param string  $message The entry.
 */
function log_action( \mysqli $mysqli, int $action, string $message ): void {
	$mysqli->query(
		'INSERT INTO actionscheduler_logs (action_id, message, log_date_gmt)' .
		" VALUES ($action, '$message', UTC_TIMESTAMP())"
	);
}

/**
 * Upserts up to a batch of marked tickets in one statement; returns the number of tickets.
 *
 * @param \Redis  $redis  The source.
 * @param \mysqli $mysqli The destination.
 */
function write_batch( \Redis $redis, \mysqli $mysqli ): int {
	$ids = $redis->sPop( 'plain:pending', BATCH );
	if ( array() === $ids ) {
		return 0;
	}
	$pipeline = $redis->pipeline();
	foreach ( $ids as $id ) {
		$pipeline->hGetAll( "plain:$id" );
	}
	$rows = array();
	foreach ( $pipeline->exec() as $i => $ticket ) {
		$rows[] = sprintf(
			"(%d, '%s', '%s', %d, '%s', NOW())",
			$ids[ $i ],
			$mysqli->real_escape_string( $ticket['status'] ),
			$mysqli->real_escape_string( $ticket['priority'] ?? '' ),
			$ticket['assigned_to'],
			$mysqli->real_escape_string( $ticket['category'] ?? '' )
		);
	}
	$mysqli->query(
		'INSERT INTO plain_tickets (ticket_id, status, priority, assigned_to, category, updated_at) VALUES ' .
		implode( ', ', $rows ) . ' ON DUPLICATE KEY UPDATE ' . assignments()
	);
	return count( $ids );
}

/**
 * The assignments of an upsert.
 */
function assignments(): string {
	$all = array();
	foreach ( array_merge( COLUMNS, array( 'updated_at' ) ) as $column ) {
		$all[] = "$column = VALUES($column)";
	}
	return implode( ', ', $all );
}
