-- Gives a site's keys to a table, at an operator's word. A daemon that works with the keys for another table does not know the
-- new filling, looks at the filling again, and finds the new owner.
--
-- KEYS[1]  the partition's meta hash
-- ARGV     the identity of the table, another epoch
--
-- Returns the owner until now, or an empty string.

local held = redis.call('HMGET', KEYS[1], 'epoch', 'owner')
if held[2] ~= ARGV[1] then
	redis.call('HSET', KEYS[1], 'owner', ARGV[1])
	if held[1] then
		redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
	end
end
return held[2] or ''
