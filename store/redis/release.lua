-- Takes back the reservation of a refused request, so that another request may use the request id.
--
-- KEYS and ARGV as in reserve.lua; a reservation for another ticket or with another digest stays

if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('GET', KEYS[2]) == ARGV[3] then
	redis.call('DEL', KEYS[1], KEYS[2])
end
return 0
