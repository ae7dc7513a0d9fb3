-- Removes the events that every destination has, and that are older than a time.
--
-- KEYS[1]  the partition's feed
-- KEYS[2]  the partition's cursors
-- KEYS[3]  the numbers of the partition's erased events
-- KEYS[4]  the partition's meta hash
-- ARGV[1]  the time in ms
--
-- Returns how many events were removed. Without destinations no event is removed. The event at the slowest cursor stays, so that
-- a reader at this cursor finds its place.

local filling, slowest, place = redis.call('HGET', KEYS[4], 'epoch'), nil, nil
for _, cursor in ipairs(redis.call('HVALS', KEYS[2])) do
	local of, number, at = string.match(cursor, '^(.-)%.(%d+)%.(%d+%-%d+)$')
	if of ~= filling then -- a destination that has not begun, or follows an earlier filling
		return 0
	end
	if not slowest or tonumber(number) < slowest then
		slowest, place = tonumber(number), at
	end
end
if not slowest then
	return 0
end
if tonumber(string.match(place, '^%d+')) > tonumber(ARGV[1]) then
	place = ARGV[1]
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', slowest)
return redis.call('XTRIM', KEYS[1], 'MINID', '~', place)
