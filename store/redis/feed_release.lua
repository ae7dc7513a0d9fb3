-- Gives back the right to serve a destination.
--
-- KEYS[1]  who serves the destination
-- ARGV[1]  the token

if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('UNLINK', KEYS[1])
end
return 0
