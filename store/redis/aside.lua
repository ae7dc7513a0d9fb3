-- Sets a hash of another program aside, which is older than its ticket.
--
-- KEYS[1]  the hash
-- KEYS[2]  the name that it gets; an earlier hash of that name goes
--
-- Returns 1; 0 where the key holds a ticket, no hash, or nothing, so that nothing was done.

local ours = redis.pcall('HEXISTS', KEYS[1], '_rev') -- an error if the key now holds another type
if ours ~= 0 or redis.call('EXISTS', KEYS[1]) == 0 then
	return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
