-- Sets aside a hash of another program that is older than its ticket.
--
-- KEYS[1]  the hash
-- KEYS[2]  the new name of the hash; an earlier hash of that name goes
--
-- Returns 1; 0 where the key holds a ticket or no hash, and the script has made no change.

local ours = redis.pcall('HEXISTS', KEYS[1], '_rev') -- an error if the key now holds another type
if ours ~= 0 or redis.call('EXISTS', KEYS[1]) == 0 then
	return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1
