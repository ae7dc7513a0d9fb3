-- Removes entries of a stream.
--
-- KEYS[1]  the stream
-- ARGV     the entries' ids

return redis.call('XDEL', KEYS[1], unpack(ARGV))
