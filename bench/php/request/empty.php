<?php
/**
 * The floor of a request: it does nothing.
 *
 * @package Ticketd
 */

echo 'ok';
