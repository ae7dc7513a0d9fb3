-- For a tickets table without a deleted_at column alone: the ids of the tickets whose rows were deleted, so that a
-- late write cannot restore one. Ids are never used again, so a tombstone is valid for ever.
CREATE TABLE IF NOT EXISTS `{table}_tombstones` (
  `ticket_id` bigint unsigned NOT NULL,
  `revision` bigint unsigned NOT NULL,
  PRIMARY KEY (`ticket_id`)
) ENGINE=InnoDB;
