-- Raises the revisions of a filling that began when the next place could not be asked for its highest: all further ones, and those of
-- the tickets' changes that wait. These were made after that highest, whatever the clocks said, and must not lie below it.
--
-- KEYS[1]  the partition's meta hash
-- KEYS[2…] tickets' hashes
-- ARGV[1]  the next place's highest revision
-- ARGV[2]  changes up to this revision are from before a fail-over, so that the next place may be ahead of them: they keep theirs
-- ARGV[3]  1 where this is the last call of the partition, or 0
--
-- Returns how many of the tickets got another revision.

local floor, line = tonumber(ARGV[1]), tonumber(ARGV[2])
local highest = math.max(bounded(redis.call('HGET', KEYS[1], 'rev')), floor)
local raised = 0
for i = 2, #KEYS do
	local hash = redis.pcall('HGETALL', KEYS[i]) -- an error where something else uses the key
	local text = string.format('%.0f', highest + 1)
	local set = { KEYS[i], '_rev', text }
	for f = 1, hash.err and 0 or #hash, 2 do
		local changed = string.sub(hash[f], 1, 3) == '_d:' and tonumber(hash[f + 1])
		if changed and changed <= floor and changed > line then
			set[#set + 1] = hash[f]
			set[#set + 1] = text
		end
	end
	if #set > 3 then
		redis.call('HSET', unpack(set))
		highest = highest + 1
		raised = raised + 1
	end
end
redis.call('HSET', KEYS[1], 'rev', string.format('%.0f', highest))
if ARGV[3] == '1' then
	redis.call('HDEL', KEYS[1], 'floorless')
end
return raised
