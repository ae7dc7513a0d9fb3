-- Reads the pending changes of tickets, and nothing of what the next place has.
--
-- KEYS  the tickets' hashes, at most 250
--
-- Returns per ticket a list of names and values: _rev, _dirty, _full, the marks (_d:{field}) and the marked fields; then _clean, whose
-- value is 1 where the hash holds other fields, too, and else empty. The list is empty where Redis does not hold the ticket. Where
-- the key holds no hash, 0 stands for the list.

local most = 1000 -- Lua's unpack is bounded at about 8,000 values

local function changes(ticket)
	local names = redis.pcall('HKEYS', ticket)
	if names.err then
		return 0
	elseif #names == 0 then
		return {}
	end
	local held, want, found = {}, {}, {}
	for _, name in ipairs(names) do
		held[name] = true
		if string.sub(name, 1, 3) == '_d:' then
			want[#want + 1] = name
		end
	end
	for i = 1, #want do
		local field = string.sub(want[i], 4)
		if held[field] and string.sub(field, 1, 1) ~= '_' then
			want[#want + 1] = field
		end
	end
	local clean = false
	for _, name in ipairs(names) do
		if string.sub(name, 1, 1) ~= '_' and not held['_d:' .. name] then
			clean = true
		elseif name == '_rev' or name == '_dirty' or name == '_full' then
			want[#want + 1] = name
		end
	end
	for first = 1, #want, most do
		local last = math.min(first + most - 1, #want)
		local values = redis.call('HMGET', ticket, unpack(want, first, last))
		for i, value in ipairs(values) do
			found[#found + 1], found[#found + 2] = want[first + i - 1], value
		end
	end
	found[#found + 1], found[#found + 2] = '_clean', clean and '1' or ''
	return found
end

local out = {}
for i, ticket in ipairs(KEYS) do
	out[i] = changes(ticket)
end
return out
