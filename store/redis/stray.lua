-- Makes a ticket of a hash that another program wrote: all fields of the hash become pending changes.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's meta hash
-- KEYS[3]  the hash
-- ARGV[1]  the ticket's id
-- ARGV[2]  the proposed revision
-- ARGV[3]  when the changes are due, in ms
-- ARGV[4]  the SHA-1 of the hash as the caller read it: per field, in the order below, length, ":" and name, length, ":" and value
-- ARGV[5]  how many fields the caller has read; then the names
-- ARGV     count of values; then name and value of each as the table takes the value, then the names of the NULLs
--
-- Returns the ticket's revision; 0 where the key holds a ticket or no hash; -1 where the hash has changed since the caller read
-- the hash, and the script has made no change.
--
-- The hash keeps only fields that the caller names: a list of names and values (0, 1, 2, …) becomes fields under these names.

local hash = redis.pcall('HGETALL', KEYS[3]) -- an error if the key now holds another type
if hash.err or #hash == 0 then
	return 0
end
local held = {}
for i = 1, #hash, 2 do
	held[hash[i]] = hash[i + 1]
end
if held._rev then
	return 0
end

-- The caller's order: sorting here would go by the locale of Redis' process.
local fields = tonumber(ARGV[5])
local parts = {}
for i = 1, fields do
	local name = ARGV[5 + i]
	local value = held[name]
	if not value then
		return -1
	end
	parts[i] = #name .. ':' .. name .. #value .. ':' .. value
end
if 2 * fields ~= #hash or redis.sha1hex(table.concat(parts)) ~= ARGV[4] then
	return -1
end

local highest = bounded(redis.call('HGET', KEYS[2], 'rev'))
local revision = math.max(tonumber(ARGV[2]), highest + 1)
local text = string.format('%.0f', revision)
local set = { KEYS[3], '_rev', text, '_dirty', string.format('%.0f', math.floor(tonumber(ARGV[2]) / 1000)) }
local first = 6 + fields
local last = first + 2 * tonumber(ARGV[first])
for i = first + 1, last, 2 do
	held[ARGV[i]] = nil
	set[#set + 1], set[#set + 2] = ARGV[i], ARGV[i + 1]
	set[#set + 1], set[#set + 2] = '_d:' .. ARGV[i], text
end
for i = last + 1, #ARGV do
	set[#set + 1], set[#set + 2] = '_d:' .. ARGV[i], text
end
local drop = {}
for name in pairs(held) do
	drop[#drop + 1] = name
end

redis.call('HSET', unpack(set)) -- first: a Redis out of memory refuses HSET
for first = 1, #drop, 1000 do -- a list of names and values may repeat a name any number of times
	redis.call('HDEL', KEYS[3], unpack(drop, first, math.min(first + 999, #drop)))
end
redis.call('PERSIST', KEYS[3])
redis.call('ZADD', KEYS[1], 'LT', ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], 'rev', text)
return revision
