-- Raises the revisions of a filling that began when the next place did not tell its highest revision: all further revisions, and
-- the revisions of pending changes. The pending changes were made after that highest revision, whatever the clocks said, and must
-- not lie below it. Nor must changes from a journal, under a revision from before this filling: these changes arrived last.
-- Changes that a daemon has applied again keep their revisions: these changes were acknowledged before, and the next place may
-- have these and newer changes.
--
-- KEYS[1]  the partition's meta hash
-- KEYS[2]  the partition's feed
-- KEYS[3…] tickets' hashes
-- ARGV[1]  the next place's highest revision
-- ARGV[2]  changes up to this revision are from before a fail-over, so that the next place may be ahead: these keep their revisions.
--          No change is from before a fail-over where the process in which the filling began still serves.
-- ARGV[3]  1 where this is the last call of the partition, or 0
-- ARGV[4…] per ticket the id
--
-- Returns how many of the tickets got another revision.

local floor, line = tonumber(ARGV[1]), tonumber(ARGV[2])
local meta = redis.call('HMGET', KEYS[1], 'rev', 'floorless', 'feed', 'feed:n')
feed.open(KEYS[2], meta[3], meta[4])
local highest = math.max(bounded(meta[1]), floor)
local info = redis.pcall('INFO', 'server') -- INFO may be forbidden
if type(info) == 'string' and meta[2] and string.match(info, 'run_id:(%w+)') == meta[2] then
	line = 0
end
local raised = 0
for i = 3, #KEYS do
	local hash = redis.pcall('HGETALL', KEYS[i]) -- an error where another program uses the key
	local text = string.format('%.0f', highest + 1)
	local set = { KEYS[i], '_rev', text }
	local held = {}
	for f = 1, hash.err and 0 or #hash, 2 do
		held[hash[f]] = hash[f + 1]
	end
	local kept = bounded(held._kept)
	if bounded(held['_d:_new']) < bounded(held._born) then -- from when on a row may be the ticket's own
		held['_d:_new'] = nil
	end
	for name, value in pairs(held) do
		local changed = string.sub(name, 1, 3) == '_d:' and tonumber(value)
		if changed and changed <= floor and changed > line and changed > kept then
			set[#set + 1] = name
			set[#set + 1] = text
		end
	end
	if #set > 3 then
		redis.call('HSET', unpack(set))
		local from = held._rev or '0'
		feed.restated(ARGV[i + 1], from, text, from, text, '')
		highest = highest + 1
		raised = raised + 1
	end
	if kept > 0 then
		redis.call('HDEL', KEYS[i], '_kept')
	end
end
redis.call('HSET', KEYS[1], 'rev', string.format('%.0f', highest))
feed.close(KEYS[1])
if ARGV[3] == '1' then
	redis.call('HDEL', KEYS[1], 'floorless')
end
return raised
