-- Reads the pending changes of tickets, and nothing of what the next place has.
--
-- KEYS  the tickets' hashes, at most 250
--
-- Returns per ticket a list of names and values: first _clean, whose value is 1 where the hash holds other fields, too, or has held
-- such fields (_had), and else empty; then _rev, _dirty, _full, the marks (_d:{field}) and the marked fields. The list is empty where Redis does not hold the
-- ticket. Where the key holds no hash, 0 stands for the list.

local underscore = string.byte('_')
local most = 1000 -- Lua's unpack is bounded at about 8,000 values

local function changes(ticket)
	local names = redis.pcall('HKEYS', ticket)
	if names.err then
		return 0
	elseif #names == 0 then
		return {}
	end
	local held, want, n = {}, {}, 0
	for _, name in ipairs(names) do
		held[name] = true
	end
	local clean = held._had and '1' or ''
	for _, name in ipairs(names) do
		if string.byte(name) ~= underscore then
			if not held['_d:' .. name] then
				clean = '1'
			else
				n = n + 1
				want[n] = name
			end
		elseif name == '_rev' or name == '_dirty' or name == '_full' or string.sub(name, 1, 3) == '_d:' then
			n = n + 1
			want[n] = name
		end
	end
	local found = { '_clean', clean }
	for first = 1, n, most do
		local last = math.min(first + most - 1, n)
		local values = redis.call('HMGET', ticket, unpack(want, first, last))
		for i = first, last do
			found[2 * i + 1], found[2 * i + 2] = want[i], values[i - first + 1]
		end
	end
	return found
end

local out = {}
for i, ticket in ipairs(KEYS) do
	out[i] = changes(ticket)
end
return out
