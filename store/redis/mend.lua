-- Gives a ticket a revision above all other revisions where the hash has an impossible revision, which another program has
-- written, and gives the same revision to marks with impossible revisions. The fields stay.
--
-- KEYS[1]  the ticket's hash
-- KEYS[2]  the partition's meta hash
-- ARGV[1]  the proposed revision
--
-- Returns the new revision; 0 where the hash was right.

local hash = redis.call('HGETALL', KEYS[1])
local text = string.format('%.0f', math.max(tonumber(ARGV[1]), bounded(redis.call('HGET', KEYS[2], 'rev')) + 1))
local set, ours = { KEYS[1], '_rev', text }, false
for i = 1, #hash, 2 do
	local name, value = hash[i], tonumber(hash[i + 1])
	if name == '_rev' then
		ours = true
	end
	if name == '_rev' and not (value and value >= 0 and value <= ceiling) then
		set.odd = true
	elseif (string.sub(name, 1, 3) == '_d:' or name == '_born') and value and not (value <= ceiling) then
		set[#set + 1], set[#set + 2] = name, text
		set.odd = true
	end
end
if not ours or not set.odd then
	return 0
end
redis.call('HSET', unpack(set)) -- first: a Redis out of memory refuses HSET
redis.call('HSET', KEYS[2], 'rev', text)
return tonumber(text)
