-- Returns the run_id of the Redis process as a script learns it, empty where INFO does not say; or the error of INFO.

local info = redis.pcall('INFO', 'server')
if type(info) ~= 'string' then
	return info
end
return string.match(info, 'run_id:(%w+)') or ''
