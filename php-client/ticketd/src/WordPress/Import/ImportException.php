<?php
/**
 * The failure of an import.
 *
 * @package Ticketd
 */

namespace Ticketd\WordPress\Import;

defined( 'ABSPATH' ) || exit;

/**
 * Ends an import: its source cannot be used, or the daemon does not answer. The message is for the operator.
 */
final class ImportException extends \RuntimeException {
}
