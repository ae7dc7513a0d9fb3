-- Makes a batch of mutations, each atomically, in one call.
--
-- KEYS[1]  the partition's dirty index (sorted set: member = ticket id, score = due time in ms)
-- KEYS[2]  the partition's dead letters (sorted set: member = ticket id, score = time in ms)
-- KEYS[3]  the partition's meta hash: epoch (which filling of this Redis it is), rev (the highest revision assigned)
-- KEYS[4…] per mutation its ticket's hash, then, where it has a request id, the key that remembers the request
--
-- ARGV[1]  the epoch that the caller knows
-- ARGV[2]  how many mutations follow; then per mutation:
--   kind (1 create, 2 set, 3 delete), ticket id, proposed revision (in µs: it dates the change), due time in ms, required revision or 0,
--   for how many ms its request id is remembered or 0 where it has none, count of values, name and value of each, count of NULLs, name of each
--
-- Returns three numbers per mutation: status, ticket id, revision.
--   status 0: done, or a repetition of a request that was done
--   status 1: conflict, the ticket is at this revision
--   status 2: the ticket was deleted
--   status 3: the key holds something that is no hash
-- Or the error EPOCH: the meta hash is gone or of another filling; nothing was done.
--
-- HSET comes first among the writes: it is what Redis refuses when it is out of memory, before anything has changed.

local dirty, dead, meta = KEYS[1], KEYS[2], KEYS[3]

local known = redis.call('HMGET', meta, 'epoch', 'rev')
if known[1] ~= ARGV[1] then
	return redis.error_reply('EPOCH ' .. (known[1] or ''))
end
local highest = tonumber(known[2]) or 0
local before = highest

local k, a = 3, 2
local function key()
	k = k + 1
	return KEYS[k]
end
local function arg()
	a = a + 1
	return ARGV[a]
end

local function conflicts(kind, held, required)
	local rev = tonumber(held[1]) or 0
	if required > 0 and required ~= rev then
		return 1, rev
	end
	if held[3] and kind ~= 3 then
		return 2, rev
	end
end

local out = {}
local function answer(status, id, rev)
	local n = #out
	out[n + 1], out[n + 2], out[n + 3] = status, id, rev
end

for _ = 1, tonumber(ARGV[2]) do
	local kind, id, proposed, due = tonumber(arg()), arg(), tonumber(arg()), arg()
	local required, memory = tonumber(arg()), arg()
	local ticket = key()
	local request = memory ~= '0' and key()

	local set = { ticket, '_rev', '' }
	local names = {}
	for _ = 1, tonumber(arg()) do
		local name, value = arg(), arg()
		set[#set + 1] = name
		set[#set + 1] = value
		names[#names + 1] = name
	end
	local nulls = { ticket }
	for _ = 1, tonumber(arg()) do
		local name = arg()
		nulls[#nulls + 1] = name
		names[#names + 1] = name
	end

	local done = request and redis.call('GET', request)
	local held = redis.pcall('HMGET', ticket, '_rev', '_dirty', '_gone', '_dead')
	if done then
		local first, rev = string.match(done, '(%d+) (%d+)')
		answer(0, tonumber(first), tonumber(rev))
	elseif held.err then
		answer(3, tonumber(id), 0)
	else
		local status, have = conflicts(kind, held, required)
		if status then
			answer(status, tonumber(id), have)
		elseif kind == 3 and held[3] then
			answer(0, tonumber(id), tonumber(held[1]))
		else
			local rev = math.max((tonumber(held[1]) or 0) + 1, proposed, highest + 1)
			highest = rev
			local text = string.format('%.0f', rev)
			set[3] = text
			if kind == 1 then
				set[#set + 1] = '_full'
				set[#set + 1] = '1'
			elseif kind == 3 then
				set[#set + 1] = '_gone'
				set[#set + 1] = '1'
				names[#names + 1] = '_gone'
			end
			for i = 1, #names do
				set[#set + 1] = '_d:' .. names[i]
				set[#set + 1] = text
			end
			if not held[2] then
				set[#set + 1] = '_dirty'
				set[#set + 1] = string.format('%.0f', math.floor(proposed / 1000))
			end
			redis.call('HSET', unpack(set))
			if #nulls > 1 then
				redis.call('HDEL', unpack(nulls))
			end
			if not held[2] then
				redis.call('PERSIST', ticket)
			end
			if held[4] then
				redis.call('HDEL', ticket, '_dead')
				redis.call('ZREM', dead, id)
			end
			redis.call('ZADD', dirty, 'LT', due, id)
			if request then
				redis.call('SET', request, id .. ' ' .. text, 'PX', memory)
			end
			answer(0, tonumber(id), rev)
		end
	end
end

if highest > before then
	redis.call('HSET', meta, 'rev', string.format('%.0f', highest))
end
return out
