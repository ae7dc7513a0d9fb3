-- Forgets daemons that have not applied their kept changes again to the process that serves the partition.
--
-- KEYS[1]  the partition's meta hash
-- ARGV     the daemons' fields of the meta hash, host:{id}; a 1 at the end forgets every named daemon
--
-- Returns 0.

local line = redis.call('HGET', KEYS[1], 'line')
local forced = ARGV[#ARGV] == '1'
for _, name in ipairs(ARGV) do
	local at = string.sub(name, 1, 5) == 'host:' and redis.call('HGET', KEYS[1], name)
	if at and (forced or at ~= line) then
		redis.call('HDEL', KEYS[1], name)
	end
end
return 0
