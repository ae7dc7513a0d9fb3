-- Removes entries of a partition's feed.
--
-- KEYS[1]  the partition's feed
-- KEYS[2]  the numbers of removed entries (sorted set): a reader gets no gap for these numbers
-- ARGV     per entry its id and its number
--
-- Returns how many entries were removed.

local removed = 0
for i = 1, #ARGV, 2 do
	redis.call('ZADD', KEYS[2], 'NX', ARGV[i + 1], ARGV[i + 1])
	removed = removed + redis.call('XDEL', KEYS[1], ARGV[i])
end
return removed
