-- Drops a ticket that is clean and has not changed since the caller looked.
--
-- KEYS[1]  the ticket's hash
-- ARGV[1]  the revision that the caller saw
--
-- Returns 1 where the ticket was dropped.

local hash = redis.pcall('HMGET', KEYS[1], '_rev', '_dirty') -- an error where another program uses the key
if hash.err or hash[1] ~= ARGV[1] or hash[2] then
	return 0
end
return redis.call('UNLINK', KEYS[1])
