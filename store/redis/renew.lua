-- Makes all fields of tickets dirty again, as the operator restored the next place to an older state. Revisions stay unchanged:
-- the flush does not write a row again that the next place still has at the same revision.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2…] tickets' hashes
-- ARGV[1]  now, in ms
-- ARGV[2]  how many fields follow that are NULL where a whole ticket does not hold them, then the names
-- ARGV     how many fields follow that the next place computes itself, then the names
-- ARGV     per ticket the id
--
-- A whole ticket may be older than any other field that the ticket does not hold: the next place keeps its value of that field.
-- Dead letters stay unchanged, and so do keys without a ticket.
--
-- Returns how many of the tickets are dirty now that were clean, and how many are held in part and have become dirty: the
-- next place had these tickets (_had), and Redis does not hold all of their fields.

local at = 2
local function names()
	local list, n = {}, tonumber(ARGV[at])
	for i = 1, n do
		list[i] = ARGV[at + i]
	end
	at = at + n + 1
	return list
end

local writable, computed = names(), {}
for _, name in ipairs(names()) do
	computed[name] = true
end

local renewed, parts = 0, 0

local function renew(ticket, id)
	local hash = redis.pcall('HGETALL', ticket)
	local held = {}
	for f = 1, hash.err and 0 or #hash, 2 do
		held[hash[f]] = hash[f + 1]
	end
	if not held._rev or held._dead then
		return
	end
	local set = { ticket }
	local function mark(name)
		if not held['_d:' .. name] then
			set[#set + 1] = '_d:' .. name
			set[#set + 1] = held._rev
		end
	end
	if held._gone then
		mark('_gone')
	end
	local part = held._had
	for name in pairs(held) do
		if string.sub(name, 1, 1) ~= '_' and not computed[name] then
			part = part or not held['_d:' .. name]
			mark(name)
		end
	end
	part = part and not held._full and not held._gone
	if part and not held._had then
		set[#set + 1], set[#set + 2] = '_had', '1'
	end
	for i = 1, held._full and #writable or 0 do
		mark(writable[i])
	end
	if #set == 1 then
		return
	end
	redis.call('ZADD', KEYS[1], 'LT', ARGV[1], id) -- first: a Redis out of memory refuses ZADD
	if not held._dirty then
		set[#set + 1] = '_dirty'
		set[#set + 1] = ARGV[1]
	end
	redis.call('HSET', unpack(set))
	redis.call('PERSIST', ticket)
	renewed, parts = renewed + (held._dirty and 0 or 1), parts + (part and 1 or 0)
end

for i = 2, #KEYS do
	renew(KEYS[i], ARGV[at + i - 2])
end
return { renewed, parts }
