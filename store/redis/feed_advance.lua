-- Moves a destination's cursor forward.
--
-- KEYS     as in feed_own.lua
-- ARGV     destination, token, cursor
--
-- Returns 1 where the cursor has moved, 0 where the present cursor is not behind. Or the error NOTOWNER.

if redis.call('GET', KEYS[1]) ~= ARGV[2] then
	return redis.error_reply('NOTOWNER another courier serves the destination')
end
local function parts(cursor)
	local filling, number = string.match(cursor or '', '^(.-)%.(%d+)%.')
	return filling, tonumber(number)
end
local filling, number = parts(redis.call('HGET', KEYS[2], ARGV[1]))
local to, upTo = parts(ARGV[3])
if filling == to and number >= upTo then
	return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
