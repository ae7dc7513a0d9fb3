-- Notes that tickets were deleted: their ids go into a bucket of tombstones.
--
-- KEYS[1]  the bucket, a set of ids
-- KEYS[2]  the partition's meta hash, which counts the tombstones
-- ARGV     the ids, 1 to 512
--
-- Returns how many of the ids are new. Where another program uses the bucket's name, the bucket's tickets have no tombstones: 0.

local added = redis.pcall('SADD', KEYS[1], unpack(ARGV))
if type(added) ~= 'number' then
	if string.sub(added.err, 1, 9) == 'WRONGTYPE' then
		return 0
	end
	return added
end
if added > 0 then
	redis.call('HINCRBY', KEYS[2], 'gone', added)
end
return added
