-- Forgets what a Redis that may have gone back in time holds as clean: the next place can be ahead of it. What is dirty stays and
-- becomes due at once, whatever lease it was under: whether it is older than the next place shows when it is flushed.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2…] tickets' hashes
-- ARGV[1]  now, in ms
-- ARGV[2…] the tickets' ids
--
-- Returns how many were dropped whole.

local dropped = 0
for i = 2, #KEYS do
	local hash = redis.call('HGETALL', KEYS[i])
	local held, clean = {}, { KEYS[i] }
	for f = 1, #hash, 2 do
		held[hash[f]] = true
	end
	for name in pairs(held) do
		local reserved = string.sub(name, 1, 1) == '_'
		if name == '_full' or (not reserved and not held['_d:' .. name]) then
			clean[#clean + 1] = name
		end
	end
	if not held._dirty then
		dropped = dropped + redis.call('UNLINK', KEYS[i])
	else
		if #clean > 1 then
			redis.call('HDEL', unpack(clean))
		end
		if not held._dead then
			redis.call('ZADD', KEYS[1], 'LT', ARGV[1], ARGV[i])
		end
	end
end
return dropped
