-- Takes back the reservation of a request that was refused, so that its id may be used again.
--
-- KEYS[1]  the request id's reservation
-- ARGV[1]  what it is known to be: another is left alone

if redis.call('GET', KEYS[1]) == ARGV[1] then
	redis.call('DEL', KEYS[1])
end
return 0
