-- Completes a ticket with a row of the next place, as clean fields, unless the ticket has changed since its base was read, is
-- dirty, or is newer than the row. An ack leaves the revision unchanged, so only a row with that revision is known to have the
-- acked changes.
--
-- KEYS[1]  the ticket's hash
-- KEYS[2]  the partition's meta hash
-- KEYS[3]  the tombstones of the ticket's bucket: a deleted row adds a tombstone, a living row removes the tombstone
-- KEYS[4]  the partition's dirty index
-- KEYS[5]  the partition's dead letters
-- ARGV     the base revision (0: the ticket was not held), the row's revision, 1 where the row is deleted or 0,
--          how long a clean ticket is kept in ms, the ticket's id, then name and value of each field that is not NULL
--
-- Returns 1 where the ticket was completed; 2 where an index names the ticket and another program has deleted the hash, see
-- vanished.go; else 0.

local hash = redis.pcall('HGETALL', KEYS[1])
if hash.err then -- another program uses the key
	return 0
end
local held = {}
for i = 1, #hash, 2 do
	held[hash[i]] = hash[i + 1]
end
if (held._rev or '0') ~= ARGV[1] then
	return 0
end
if not held._rev and #hash > 0 then -- another program's hash: an expiry would end the only copy
	return 0
end
if not held._rev and (redis.call('ZSCORE', KEYS[4], ARGV[5]) or redis.call('ZSCORE', KEYS[5], ARGV[5])) then
	return 2
end
if held._dirty or tonumber(ARGV[2]) < tonumber(ARGV[1]) then
	return 0
end

local rev = ARGV[2]
local set, row = { KEYS[1], '_rev', rev, '_full', '1' }, {}
local process = redis.call('HMGET', KEYS[2], 'line', 'run')
if process[1] and process[1] ~= process[2] then -- clean copies are in doubt; this copy is not
	set[#set + 1], set[#set + 2] = '_line', process[1]
end
if ARGV[3] == '1' then
	set[#set + 1] = '_gone'
	set[#set + 1] = '1'
end
for i = 6, #ARGV, 2 do
	row[ARGV[i]] = true
	set[#set + 1] = ARGV[i]
	set[#set + 1] = ARGV[i + 1]
end
redis.call('HSET', unpack(set))

local moved = tonumber(redis.pcall(ARGV[3] == '1' and 'SADD' or 'SREM', KEYS[3], ARGV[5])) or 0 -- or another program uses the key
if moved > 0 then
	redis.call('HINCRBY', KEYS[2], 'gone', ARGV[3] == '1' and 1 or -1)
end

local null = { KEYS[1] }
for name in pairs(held) do
	if string.sub(name, 1, 1) ~= '_' and not row[name] then
		null[#null + 1] = name
	end
end
if #null > 1 then
	redis.call('HDEL', unpack(null))
end

if tonumber(redis.call('HGET', KEYS[2], 'rev') or '0') < tonumber(rev) then
	redis.call('HSET', KEYS[2], 'rev', rev)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
