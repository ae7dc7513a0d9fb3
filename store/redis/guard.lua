-- Stands before the scripts that do not compare the epoch themselves: the keys of a script
-- belong to the filling of Redis that the caller knows, and so to the caller's table, as only a filling's owner receives its
-- epoch.
--
-- KEYS  the partition's meta hash comes last, and is taken away
-- ARGV  the epoch that the caller knows comes last, and is taken away
--
-- Returns the error EPOCH where the meta hash is gone or of another filling; the script has made no change.

local filling = redis.call('HGET', table.remove(KEYS), 'epoch') or ''
if filling ~= table.remove(ARGV) then
	return redis.error_reply('EPOCH ' .. filling)
end

