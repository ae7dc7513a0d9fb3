-- Stands before every other script but apply.lua and seed.lua, which look themselves: what a script touches belongs to the
-- filling of Redis that the caller knows, and so to the table that the caller works for, as only a filling's owner receives its
-- epoch.
--
-- KEYS  the partition's meta hash comes last, and is taken away
-- ARGV  the epoch that the caller knows comes last, and is taken away
--
-- Returns the error EPOCH where the meta hash is gone or of another filling; nothing was done.

local filling = redis.call('HGET', table.remove(KEYS), 'epoch') or ''
if filling ~= table.remove(ARGV) then
	return redis.error_reply('EPOCH ' .. filling)
end

