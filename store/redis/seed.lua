-- Marks an empty Redis as filled by ticketd, or returns the filling to its owner.
--
-- KEYS[1]  the partition's meta hash
-- KEYS[2]  the partition's feed
-- ARGV     the epoch for a Redis without an epoch, the revision above which all further revisions must lie, the identity of the site's
--          table, 1 where that revision is not known yet or 0, the table's name in earlier versions or an empty string, 1 where an
--          earlier filling is lost or 0, how many events the feed may have or 0 where this daemon does not switch the feed on, and
--          now in µs
--
-- Returns the epoch that stands, the owner, and 1 or a run_id where that revision is still unknown, else an empty string. Where
-- another table is the owner, the script has made no change. An owner that is known by the earlier name is known by the identity
-- from now on. A filling that follows a lost filling waits for a daemon host:? that never comes, see hosts.go.

local held = redis.call('HMGET', KEYS[1], 'epoch', 'owner')
local owner = held[2] or ''
if owner ~= '' and owner ~= ARGV[3] and owner ~= ARGV[5] then
	return { held[1] or '', owner, '' }
end
if not held[1] then
	redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'rev', ARGV[2], 'owner', ARGV[3])
	if ARGV[6] == '1' then
		redis.call('HSET', KEYS[1], 'host:?', '')
	end
	local info = redis.pcall('INFO', 'server') -- may be forbidden
	local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
	if run then -- an empty Redis holds no copy in doubt, see doubt.go
		redis.call('HSET', KEYS[1], 'run', run)
	end
	if ARGV[4] == '1' then
		redis.call('HSET', KEYS[1], 'floorless', run or '1')
	end
elseif owner ~= ARGV[3] then
	redis.call('HSET', KEYS[1], 'owner', ARGV[3])
end
if ARGV[7] ~= '0' then
	redis.call('HSET', KEYS[1], 'feed', ARGV[7])
	if not held[1] and ARGV[6] == '1' then -- the events, and how far the destinations had come, are lost with the earlier filling
		redis.pcall('XADD', KEYS[2], '*', '_n', '1', '_kind', 'reset', '_id', '0', '_rev', '0', '_prev', '', '_at', ARGV[8], '_by', '',
			'_via', '', '_note', 'Redis was emptied or replaced: events from before are lost')
		redis.call('HSET', KEYS[1], 'feed:n', '1')
	end
end
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'floorless')
return { meta[1], meta[2], meta[3] or '' }
