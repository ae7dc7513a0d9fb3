-- Forgets the clean fields of a Redis that may have gone back in time: the next place can be ahead. Dirty fields stay, and dirty
-- tickets become due at once, under a lease or not: the flush shows whether a dirty field is older than the next place.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2…] tickets' hashes
-- ARGV[1]  now, in ms
-- ARGV[2…] the tickets' ids
--
-- A key without a ticket, as the key holds no hash or a hash without _rev, stays untouched: another program uses the key.
--
-- Returns how many tickets were dropped.

local function reconcile(ticket, id)
	local hash = redis.pcall('HGETALL', ticket)
	local held, clean, had = {}, { ticket }, false
	for f = 1, hash.err and 0 or #hash, 2 do
		held[hash[f]] = true
	end
	if not held._rev then
		return 0
	end
	if not held._dirty then
		return redis.call('UNLINK', ticket)
	end
	for name in pairs(held) do
		if string.sub(name, 1, 1) ~= '_' and not held['_d:' .. name] then
			clean[#clean + 1], had = name, true
		elseif name == '_full' then
			clean[#clean + 1] = name
		end
	end
	if #clean > 1 then
		redis.call('HDEL', unpack(clean)) -- first: a Redis out of memory takes HSET after another write only
	end
	if had then
		redis.pcall('HSET', ticket, '_had', '1')
	end
	if not held._dead then
		redis.call('ZADD', KEYS[1], 'LT', ARGV[1], id)
	end
	return 0
end

local dropped = 0
for i = 2, #KEYS do
	dropped = dropped + reconcile(KEYS[i], ARGV[i])
end
return dropped
