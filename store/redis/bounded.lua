-- Stands before the scripts that go on from a stored revision: no daemon writes a number above ticket.Ceiling, or text that is no
-- number, and all later revisions of the site would have to be above such a number. Such a revision counts as 1, the lowest.

local ceiling = 7881299347898367

local function bounded(text)
	local n = tonumber(text or '0')
	if n and n >= 0 and n <= ceiling then -- refuses "nan", too: to Lua a number, neither below nor above any number
		return n
	end
	return 1
end

