-- Sets a field of the partition's meta hash.
--
-- KEYS[1]  the partition's meta hash
-- ARGV     the field's name, its value

return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
