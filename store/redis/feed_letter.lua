-- Keeps a letter of a destination.
--
-- KEYS[1]  the destination's letters (a stream)
-- ARGV[1]  how many letters there may be
-- ARGV[2…] names and values
--
-- Returns the letter's id in the stream, or an empty string where there are too many.

if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
	return ''
end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
