<?php
/**
 * The floor of a request: no work.
 *
 * @package Ticketd
 */

echo 'ok';
