-- Unties a request id from a ticket's id that is taken by another ticket.
--
-- KEYS[1]  the request id's reservation
-- ARGV     the ticket's id
--
-- Returns 1 where it was tied to that id.

if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0
