-- Does with a key that is never left behind everything that the other scripts and the commands of this package do, so that a server
-- which lacks a command, or refuses one, says so before a script has made a half of its changes.
--
-- KEYS[1]  the key
--
-- Returns OK, or the first error, with the command behind it. What a full memory refuses is no error: it is refused before anything
-- is changed.

local key, found = KEYS[1], nil

local function try(...)
	if found then
		return
	end
	local answer = redis.pcall(...)
	if type(answer) == 'table' and answer.err and not string.find(answer.err, 'OOM command not allowed', 1, true) then
		found = answer.err .. ' (it was ' .. table.concat({ ... }, ' ') .. ')'
	end
end

try('UNLINK', key)
try('DEL', key)
try('EXISTS', key)
try('PERSIST', key)
try('PEXPIRE', key, 1)
try('GET', key)
try('SET', key, '', 'XX', 'PX', 1)
try('SET', key, '', 'XX', 'KEEPTTL')
try('HGET', key, 'f')
try('HMGET', key, 'f')
try('HGETALL', key)
try('HKEYS', key)
try('HEXISTS', key, 'f')
try('HDEL', key, 'f')
try('SISMEMBER', key, '0')
try('SREM', key, '0')
try('ZCARD', key)
try('ZSCORE', key, '0')
try('ZSCAN', key, 0)
try('ZRANGE', key, 0, 0)
try('ZRANGEBYSCORE', key, 0, 0, 'WITHSCORES', 'LIMIT', 0, 1)
try('ZREM', key, '0')
-- What makes the key: it is gone at the end whatever is refused.
try('ZADD', key, 'LT', 0, '0')
try('ZADD', key, 'NX', 0, '0')
redis.pcall('UNLINK', key)
try('SADD', key, '0')
redis.pcall('UNLINK', key)
try('HSET', key, 'f', '0')
try('HINCRBY', key, 'f', 1)
try('RENAME', key, key)
redis.pcall('UNLINK', key)

if found then
	return redis.error_reply(found)
end
return redis.status_reply('OK')
