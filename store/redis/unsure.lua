-- Forgets the highest revision of a partition, where it is one that none can be: raise.lua puts the next place's there.
--
-- KEYS[1]  the partition's meta hash

if bounded(redis.call('HGET', KEYS[1], 'rev')) == 1 then
	redis.call('HSET', KEYS[1], 'rev', '1', 'floorless', '1')
end
return 1
