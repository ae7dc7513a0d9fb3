-- Runs every command of the other scripts and of package redis, on a key that the script removes, so that a server that lacks or
-- refuses a command says so before another script has made half of its changes.
--
-- KEYS[1]  the key
--
-- Returns OK, or the first error, with the command behind the error. The refusal of a full memory is no error: such a refusal
-- comes before the first change.

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
try('PTTL', key)
try('GET', key)
try('SET', key, '', 'XX', 'PX', 1)
try('SET', key, '', 'XX', 'KEEPTTL')
try('HGET', key, 'f')
try('HMGET', key, 'f')
try('HGETALL', key)
try('HKEYS', key)
try('HVALS', key)
try('HLEN', key)
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
try('ZCOUNT', key, 0, 0)
try('ZREMRANGEBYSCORE', key, 0, 0)
try('XLEN', key)
try('XRANGE', key, '-', '+', 'COUNT', 1)
try('XREVRANGE', key, '+', '-', 'COUNT', 1)
try('XDEL', key, '0-1')
try('XTRIM', key, 'MINID', '~', '0-1')
-- The next commands make the key; the key is gone at the end, even after a refusal.
try('ZADD', key, 'LT', 0, '0')
try('ZADD', key, 'NX', 0, '0')
redis.pcall('UNLINK', key)
try('SADD', key, '0')
redis.pcall('UNLINK', key)
try('XADD', key, 'MAXLEN', '~', 1, '*', 'f', '0')
redis.pcall('UNLINK', key)
try('HSET', key, 'f', '0')
try('HINCRBY', key, 'f', 1)
try('RENAME', key, key)
redis.pcall('UNLINK', key)

if found then
	return redis.error_reply(found)
end
return redis.status_reply('OK')
