-- Sets a field of the partition's meta hash.
--
-- KEYS[1]  the partition's meta hash
-- ARGV     the name and the value of the field

return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
