-- Marks an empty Redis as filled by ticketd, or tells which filling it is.
--
-- KEYS[1]  the partition's meta hash
-- ARGV     the epoch to give it where it has none, the revision above which all further ones must lie, the site's owner
--
-- Returns the epoch that stands, and the owner.

if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 1 then
	redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'owner', ARGV[3])
end
return redis.call('HMGET', KEYS[1], 'epoch', 'owner')
