-- The history of the tickets, where the site keeps one: a row for each change, and a row with ticket_id 0 where changes are missing.
-- fields is a list with a comma before and behind each name; it is ',*,' if the names do not fit. changes is a map from the field's
-- name to its old and new value; to the new value alone where the old one was not known; to no value where values are left out.
-- changes is NULL if the values were erased. The times are UTC.
CREATE TABLE IF NOT EXISTS `{table}_history` (
  `ticket_id` bigint unsigned NOT NULL,
  `revision` bigint unsigned NOT NULL,
  `kind` varchar(16) NOT NULL,
  `fields` varchar(255) NOT NULL DEFAULT '',
  `changes` json DEFAULT NULL,
  `actor` varchar(64) DEFAULT NULL,
  `via` varchar(32) DEFAULT NULL,
  `changed_at` datetime(6) NOT NULL,
  PRIMARY KEY (`ticket_id`, `revision`),
  KEY `changed` (`changed_at`),
  KEY `actor_changed` (`actor`, `changed_at`)
) ENGINE=InnoDB {charset_collate};
