-- Stands before the scripts that go on from a revision which they read: what is above ticket.Ceiling, or no number, was not
-- written by a daemon, and would be the least of all later revisions. It counts as 1, the lowest.

local ceiling = 7881299347898367

local function bounded(text)
	local n = tonumber(text or '0')
	if n and n >= 0 and n <= ceiling then -- said so that "nan" is refused, which is a number to Lua and below and above none
		return n
	end
	return 1
end

