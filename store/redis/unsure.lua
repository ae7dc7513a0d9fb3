-- Replaces an impossible highest revision of a partition by 1: raise.lua writes the next place's highest revision there.
--
-- KEYS[1]  the partition's meta hash

if bounded(redis.call('HGET', KEYS[1], 'rev')) == 1 then
	redis.call('HSET', KEYS[1], 'rev', '1', 'floorless', '1')
end
return 1
