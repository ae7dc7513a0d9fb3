-- Stands before the scripts that go on from a revision which they read: what is above ticket.Ceiling, or no number, was not
-- written by a daemon, and would be the least of all later revisions. It counts as 1, the lowest.

local ceiling = 7881299347898367

local function bounded(text)
	local n = tonumber(text or '0')
	if not n or n < 0 or n > ceiling then
		return 1
	end
	return n
end

