-- Forgets dead letters with their hashes.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3]  the partition's meta hash
-- KEYS[4]  the partition's feed
-- KEYS[5…] per ticket the hash and the tombstones of the bucket
-- ARGV[1]  now in µs
-- ARGV[2…] per ticket the id
--
-- A deletion that is given up takes the tombstone along.
--
-- Returns how many of the tickets were dead letters.

local known = redis.call('HMGET', KEYS[3], 'feed', 'feed:n')
feed.open(KEYS[4], known[1], known[2])

local dropped = 0
for i = 5, #KEYS, 2 do
	local id = ARGV[(i - 1) / 2]
	if redis.pcall('HEXISTS', KEYS[i], '_dead') == 1 then -- an error where another program uses the key
		if redis.call('HEXISTS', KEYS[i], '_d:_gone') == 1 and redis.pcall('SREM', KEYS[i + 1], id) == 1 then
			redis.call('HINCRBY', KEYS[3], 'gone', -1)
		end
		local revision = feed.keep and redis.call('HGET', KEYS[i], '_rev')
		redis.call('UNLINK', KEYS[i])
		if revision then
			feed.add(feed.entry('dropped', id, revision, revision, ARGV[1], ''))
		end
		redis.call('ZREM', KEYS[1], id)
		dropped = dropped + 1
	end
	redis.call('ZREM', KEYS[2], id)
end
feed.close(KEYS[3])
return dropped
