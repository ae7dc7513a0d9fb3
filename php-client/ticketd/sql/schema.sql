-- The tickets table and the sequence that ticket ids come from: the one source for `ticketd migrate` and for the
-- plugin's activation. {table}, {key} and {charset_collate} are replaced before the statements run; each ends with a
-- semicolon at a line's end.
--
-- Every column may be left out of an INSERT, as a flush sends only the fields that changed. The times are UTC. The
-- revision orders the changes of a ticket: no write replaces a higher one.
CREATE TABLE IF NOT EXISTS `{table}` (
  `{key}` bigint unsigned NOT NULL,
  `customer_id` bigint unsigned DEFAULT NULL,
  `customer_name` varchar(100) DEFAULT NULL,
  `customer_email` varchar(254) DEFAULT NULL,
  `subject` varchar(255) NOT NULL DEFAULT '',
  `status` varchar(32) NOT NULL DEFAULT 'open',
  `category` varchar(64) DEFAULT NULL,
  `priority` varchar(32) DEFAULT NULL,
  `assigned_to` bigint unsigned DEFAULT NULL,
  `created_at` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `updated_at` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `deleted_at` datetime DEFAULT NULL,
  `extra` json DEFAULT NULL,
  `revision` bigint unsigned NOT NULL DEFAULT 0,
  PRIMARY KEY (`{key}`),
  KEY `status_updated` (`status`,`updated_at`),
  KEY `assigned_status_updated` (`assigned_to`,`status`,`updated_at`),
  KEY `customer_created` (`customer_id`,`created_at`),
  KEY `customer_email` (`customer_email`(100)),
  KEY `category_updated` (`category`,`updated_at`),
  KEY `priority_updated` (`priority`,`updated_at`),
  KEY `updated` (`updated_at`),
  KEY `revision` (`revision`)
) ENGINE=InnoDB {charset_collate};

-- One row; ids are leased in blocks by raising next, so that none is ever given twice, whatever else is lost. It begins above the
-- ids that the table holds, but for those from 2^52 (4503599627370496) on: such a one was typed in or comes from elsewhere, a count
-- of tickets never gets there, and begun above it the ids would soon be used up. Once it is there it stays where it stands: ids that
-- are typed in later are skipped, and do not move the numbering.
CREATE TABLE IF NOT EXISTS `{table}_seq` (
  `id` tinyint unsigned NOT NULL,
  `next` bigint unsigned NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB;

INSERT INTO `{table}_seq` (`id`, `next`)
  SELECT 1, COALESCE(MAX(`{key}`), 0) + 1 FROM `{table}` WHERE `{key}` < 4503599627370496
  ON DUPLICATE KEY UPDATE `id` = 1;
