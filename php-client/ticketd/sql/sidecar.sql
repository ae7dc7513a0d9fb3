-- For a tickets table that ticketd did not make, and therefore never alters: the revision of each ticket, and whether the ticket was
-- deleted. A ticket that ticketd has never written has no row here and the revision 0. Ids are never used again, so the row of a
-- deleted ticket stays for ever.
CREATE TABLE IF NOT EXISTS `{table}_ticketd` (
  `ticket_id` bigint unsigned NOT NULL,
  `revision` bigint unsigned NOT NULL,
  `deleted` tinyint unsigned NOT NULL DEFAULT 0,
  PRIMARY KEY (`ticket_id`),
  KEY `revision` (`revision`)
) ENGINE=InnoDB;
