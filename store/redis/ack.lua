-- Notes that the next place has tickets up to a revision. Fields with later changes stay dirty.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3]  the partition's meta hash
-- KEYS[4…] the tickets' hashes
-- ARGV[1]  how long a clean ticket is kept, in ms
-- ARGV[2…] per ticket the id, the next place's revision, and 1 where the next place was ahead of the flushed change, or 0
--
-- Returns how many of the tickets are clean now.
--
-- Where the next place was ahead, this Redis went back in time, or another flusher was faster. All clean fields are then in the
-- next place or were replaced there, so the script forgets the clean fields, and readers read the next place again.
--
-- A key that holds no hash, as another program uses the name, has no change of the ticket left: the ticket leaves both indexes.
-- So does a hash without _rev, which another program wrote: an expiry would end the only copy of its data.
--
-- The writes that must succeed are commands that a Redis out of memory accepts (HDEL, UNLINK, ZREM, PEXPIRE); the script tries
-- the other writes with pcall.

local clean, letters = { KEYS[1] }, { KEYS[2] }
local highest = 0

-- sift reads the marks of a ticket, whose hash has these names, and no field. Returns first whether another program wrote the hash.
local function sift(ticket, names, arrived, ahead)
	local foreign = #names > 0
	local oldest, dead, drop, dirty, marks = nil, false, {}, {}, { ticket }
	for _, name in ipairs(names) do
		if name == '_rev' then
			foreign = false
		elseif name == '_dead' then
			dead = true
		elseif string.sub(name, 1, 3) == '_d:' then
			marks[#marks + 1] = name
		end
	end
	if foreign then
		return true
	end
	for i, value in ipairs(#marks > 1 and redis.call('HMGET', unpack(marks)) or {}) do
		local name = marks[i + 1]
		local changed = tonumber(value) or 0 -- ticketd writes no mark without a number
		if changed <= arrived then
			drop[#drop + 1] = name
		else
			dirty[string.sub(name, 4)] = true
			oldest = math.min(oldest or changed, changed)
		end
	end
	if ahead then
		for _, name in ipairs(names) do
			if name == '_full' or (string.sub(name, 1, 1) ~= '_' and not dirty[name]) then
				drop[#drop + 1] = name
			end
		end
	end
	return false, oldest, dead, drop
end

for i = 4, #KEYS do
	local ticket = KEYS[i]
	local at = 3 * i - 10
	local id, arrived, ahead = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == '1'
	local names = redis.pcall('HKEYS', ticket)
	local foreign, oldest, dead, drop = true, nil, false, nil
	if not names.err then
		foreign, oldest, dead, drop = sift(ticket, names, arrived, ahead)
	end
	highest = math.max(highest, arrived)
	if foreign then
		clean[#clean + 1] = id
		letters[#letters + 1] = id
	elseif oldest then
		if #drop > 0 then
			redis.call('HDEL', ticket, unpack(drop)) -- first: a Redis out of memory takes HSET after another write only
			redis.pcall('HSET', ticket, '_had', '1')
		end
		redis.pcall('HSET', ticket, '_dirty', string.format('%.0f', math.floor(oldest / 1000)))
	else
		clean[#clean + 1] = id
		if dead then
			letters[#letters + 1] = id
			drop[#drop + 1] = '_dead'
		end
		if ahead then
			redis.call('UNLINK', ticket)
		else
			redis.call('HDEL', ticket, '_dirty', unpack(drop))
			redis.call('PEXPIRE', ticket, ARGV[1])
		end
	end
end

if #clean > 1 then
	redis.call('ZREM', unpack(clean))
end
if #letters > 1 then
	redis.call('ZREM', unpack(letters))
end
if tonumber(redis.call('HGET', KEYS[3], 'rev') or '0') < highest then
	redis.pcall('HSET', KEYS[3], 'rev', string.format('%.0f', highest))
end
return #clean - 1
