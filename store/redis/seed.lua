-- Marks an empty Redis as filled by ticketd, or tells which filling it is.
--
-- KEYS[1]  the partition's meta hash
-- ARGV     the epoch to give it where it has none, the revision above which all further ones must lie, the site's owner, 1 where
--          that revision is not known yet or 0
--
-- Returns the epoch that stands, the owner, and 1 where that revision is still not known or an empty string.

if redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1]) == 1 then
	redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'owner', ARGV[3])
	if ARGV[4] == '1' then
		redis.call('HSET', KEYS[1], 'floorless', '1')
	end
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'floorless')
return { meta[1], meta[2], meta[3] or '' }
