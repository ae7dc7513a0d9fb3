-- Applies the latest acknowledged changes of a daemon again, as another process than before serves the partition: the state of
-- the process may be older than these changes. A change that has arrived stays untouched, a lost change is back under its
-- revision, whatever other daemons have written meanwhile.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3]  the partition's meta hash; used here: epoch, rev, gone, as in apply.lua; line, the run_id of the process that serves the
--          partition; base, the highest revision that this process had when the first daemon came; host:{id}, the line to which a
--          daemon has applied its kept changes again; feed and feed:n, see feed.lua
-- KEYS[4]  the partition's feed
-- KEYS[5…] per ticket its hash, the tombstones of its bucket, and the keys of its requests
--
-- ARGV[1]  the epoch that the caller knows
-- ARGV[2]  the caller's id among the daemons that share the keys
-- ARGV[3]  now, in ms
-- ARGV[4]  1 where this is the caller's last call for this process, else 0
-- ARGV[5]  1 where the tickets are applied even if the caller has done so on this process: another daemon may have told Redis so
-- ARGV[6]  how many tickets follow; then per ticket:
--   ticket id, revision of the deletion or 0, the create's mark _d:_new or 0, _born for a ticket that Redis does not hold, 1 where
--   a create made the ticket or 0, 1 where a create made the whole ticket or 0, 1 where a journal replayed one of the changes or 0,
--   1 where the next place has all changes or 0, up to which revision the next place has the ticket,
--   count of fields, per field the name, the revision, 1 for NULL or 0, the value,
--   count of requests, per request the remembered outcome, for how many ms
--
-- Returns the caller's line; an empty line where INFO is forbidden: states cannot be told apart then, and the script has made no
-- change; "full" where Redis had no room to note the line. Then per ticket the status; as text, with a space and a revision
-- behind the status, where changes below that revision are not applied, as the ticket was created at that revision:
--   0: no change was missing
--   1: a change was missing, and is back
--   2: the ticket was deleted since, which stands
--   3: the key holds no hash
--   4: another ticket has the id: older than the kept create, or created after the kept changes
--   8: the key holds another program's hash
--   9: a change is missing, and Redis has no room for the change
--   10: only a request id is missing, and Redis has no room for the request id
-- Or the error EPOCH as in apply.lua.
--
-- A field without a mark (_d:) is not missing where the ticket's revision is at or above the field's revision and not above base:
-- that is a state of the former process, which had made all changes up to the ticket's revision. Nor is the field missing where
-- Redis does not hold the ticket and the field's revision is not above base: direct changes get revisions above all earlier
-- revisions, so the change had been made and flushed, and the clean ticket has been forgotten; a replayed change may have a lower
-- revision. A ticket above base may be in Redis because of a later change alone. A field that MySQL has replaced since is then
-- dirty again, and MySQL's guard refuses the field. A state counts only where all daemons had applied their kept changes again
-- before a further process took over: else base stays unchanged.

local dirty, dead, meta = KEYS[1], KEYS[2], KEYS[3]
local host, now, last, forced = ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5] == '1'
local late_skew = 10000000 -- store.LateSkew

local known = redis.call('HMGET', meta, 'epoch', 'rev', 'line', 'base', 'host:' .. host, 'floorless', 'feed', 'feed:n')
if known[1] ~= ARGV[1] then
	return redis.error_reply('EPOCH ' .. (known[1] or ''))
end
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
if not run then
	return { '' }
end
feed.open(KEYS[4], known[7], known[8])
local highest, base = bounded(known[2]), bounded(known[4])
local before, buried, room, floorless = highest, 0, true, known[6]

local noted = run
if known[3] ~= run then
	local settled = known[3]
	local fields = redis.call('HGETALL', meta)
	for f = 1, #fields, 2 do
		if string.sub(fields[f], 1, 5) == 'host:' and fields[f + 1] ~= known[3] then
			settled = false
		end
	end
	local was = base
	base = settled and highest or base
	-- Other daemons could write before the line is noted.
	if type(redis.pcall('HSET', meta, 'line', run, 'base', string.format('%.0f', base))) == 'table' then
		base, room, noted = was, false, 'full'
	end
end

local k, a = 4, 6
local function key()
	k = k + 1
	return KEYS[k]
end
local function arg()
	a = a + 1
	return ARGV[a]
end

local function text(n)
	return string.format('%.0f', n)
end

-- read takes a ticket off the arguments.
local function read()
	local t = {
		key = key(), graves = key(), id = arg(), gone = tonumber(arg()), created = tonumber(arg()), born = arg(), made = arg() == '1',
		full = arg() == '1',
		replayed = arg() == '1', flushed = arg() == '1', arrived = tonumber(arg()),
		fields = {}, requests = {},
	}
	for i = 1, tonumber(arg()) do
		t.fields[i] = { name = arg(), revision = tonumber(arg()), null = arg() == '1', value = arg() }
	end
	for i = 1, tonumber(arg()) do
		t.requests[i] = { key = key(), outcome = arg(), ms = arg() }
	end
	return t
end

-- missing returns the fields of a ticket whose change Redis lacks, and the highest revision among these fields. Redis had the
-- changes up to forgotten.
local function missing(t, rev, forgotten)
	local marks = { t.key }
	for i, f in ipairs(t.fields) do
		marks[i + 1] = '_d:' .. f.name
	end
	local changed = #t.fields > 0 and redis.call('HMGET', unpack(marks)) or {}
	local lost, top = {}, 0
	for i, f in ipairs(t.fields) do
		local at = tonumber(changed[i])
		local arrived = (rev <= base and f.revision <= rev) or f.revision <= forgotten
		if not arrived and (not at or at < f.revision) then
			lost[#lost + 1] = f
			top = math.max(top, f.revision)
		end
	end
	return lost, top
end

-- bury forgets all fields of a ticket that do not belong to its deletion.
local function bury(t)
	local keep = { _rev = true, _dirty = true, _born = true, _made = true, _gone = true, ['_d:_gone'] = true, ['_d:_new'] = true,
		_kept = true }
	for _, f in ipairs(t.fields) do
		keep[f.name], keep['_d:' .. f.name] = true, true
	end
	local moot = { t.key }
	for _, name in ipairs(redis.call('HKEYS', t.key)) do
		if not keep[name] then
			moot[#moot + 1] = name
		end
	end
	if #moot > 1 then
		redis.call('HDEL', unpack(moot))
	end
	local new = redis.pcall('SADD', t.graves, t.id)
	buried = buried + (tonumber(new) or 0)
end

-- told adds the event of changes that are back. The process had lost their events with the changes: one event stands for all
-- changes of the ticket, under the revision of the newest change. Old values and the origin are not known. A field whose change is
-- not above the ticket's revision may be a change that was not lost, and that the next place has replaced since: the event names
-- the field without a value, so that consumers read the ticket.
local function told(t, held, lost, revision)
	local kind = t.gone > 0 and 'deleted' or (t.created > 0 and not held[1]) and 'created' or 'updated'
	local e = feed.entry(kind, t.id, text(revision), held[1], text(revision), '')
	local lists = { _null = {}, _long = {} }
	local have = t.gone == 0 and bounded(held[1]) or 0
	for _, f in ipairs(lost) do
		if f.revision <= have then
			lists._long[#lists._long + 1] = f.name
		elseif f.null then
			lists._null[#lists._null + 1] = f.name
		elseif #f.value > feed.longest then
			lists._long[#lists._long + 1] = f.name
		else
			e[#e + 1], e[#e + 2] = f.name, f.value
		end
	end
	for of, all in pairs(lists) do
		if #all > 0 then
			e[#e + 1], e[#e + 2] = of, table.concat(all, ',')
		end
	end
	feed.add(e)
end

-- put writes the lost fields of a ticket under a revision; with a deletion the fields get the deletion's revision. In a filling
-- that lacks the next place's highest revision the ticket notes the highest revision of the fields (_kept): the next place may be
-- ahead of these changes, so raise.lua does not put the changes above the next place.
local function put(t, held, lost, revision)
	local set, nulls = { t.key, '_rev', text(revision) }, { t.key }
	local function with(name, value)
		set[#set + 1], set[#set + 2] = name, value
	end
	local oldest, newest = revision, t.gone > 0 and revision or 0
	for _, f in ipairs(lost) do
		local changed = t.gone > 0 and revision or f.revision
		oldest, newest = math.min(oldest, changed), math.max(newest, changed)
		with('_d:' .. f.name, text(changed))
		if f.null then
			nulls[#nulls + 1] = f.name
		else
			with(f.name, f.value)
		end
	end
	if t.gone > 0 then
		with('_gone', '1')
		with('_d:_gone', text(revision))
	end
	if not held[1] then
		with('_born', t.born)
		if t.made then
			with('_made', '1')
		end
		if t.full then
			with('_full', '1')
		end
	end
	if t.created > 0 and redis.call('HEXISTS', t.key, '_d:_new') == 0 then
		with('_d:_new', text(t.created))
	end
	if floorless then
		with('_kept', text(math.max(newest, bounded(redis.call('HGET', t.key, '_kept')))))
	end
	if not held[2] then
		with('_dirty', text(math.floor(oldest / 1000)))
	end
	if type(redis.pcall('HSET', unpack(set))) == 'table' then
		return 9
	end
	if t.gone > 0 then
		bury(t)
	end
	if #nulls > 1 then
		redis.call('HDEL', unpack(nulls))
	end
	redis.call('PERSIST', t.key)
	if held[4] then
		redis.call('HDEL', t.key, '_dead')
		redis.call('ZREM', dead, t.id)
	end
	redis.call('ZADD', dirty, 'LT', now, t.id)
	if feed.keep then
		told(t, held, lost, revision)
	end
	highest = math.max(highest, revision)
	return 1
end

-- remember remembers a ticket's requests again, and says whether Redis had room for all requests.
local function remember(t)
	local all = true
	for _, r in ipairs(t.requests) do
		local set = redis.pcall('SET', r.key, r.outcome, 'PX', r.ms, 'NX')
		all = all and not (type(set) == 'table' and set.err)
	end
	return all
end

local function again(t)
	if t.gone == 0 and t.created == 0 and #t.fields == 0 then
		return 0
	end
	local held = redis.pcall('HMGET', t.key, '_rev', '_dirty', '_gone', '_dead', '_born', '_made', '_d:_new')
	if held.err then
		return 3
	elseif not held[1] and redis.call('EXISTS', t.key) == 1 then
		return 8
	elseif held[3] then
		return t.gone > 0 and 0 or 2
	elseif not held[1] and redis.pcall('SISMEMBER', t.graves, t.id) == 1 then
		return t.gone > 0 and 0 or 2
	end
	if t.flushed and t.gone == 0 and not held[2] then -- a clean copy is forgotten, and read from the next place again
		return 0
	end
	local rev = bounded(held[1])
	-- A hash that was filled from a row has no _born. The row is this ticket's if the flush of the create, or a later flush, has
	-- written the row.
	local older = held[1] and (held[5] and bounded(held[5]) < tonumber(t.born) - late_skew or not held[5] and rev < t.created - late_skew)
	if t.created > 0 and older and tonumber(held[7]) ~= t.created then
		return 4
	end
	local made = held[6] and held[5] and bounded(held[5]) or 0
	if t.gone > 0 and t.gone < made then -- the ticket was created since: earlier changes belong to another ticket
		t.older = t.gone > t.arrived and made
		return t.older and 4 or 0
	end
	local own, others = {}, #t.fields > 0
	for _, f in ipairs(t.fields) do
		if f.revision >= made then
			own[#own + 1], others = f, false
		elseif f.revision > t.arrived then
			t.older = made
		end
	end
	if others then
		return t.older and 4 or 0
	end
	t.fields = own
	local pending = redis.call('ZSCORE', dirty, t.id) or redis.call('ZSCORE', dead, t.id) -- another program has deleted the hash
	local forgotten = not held[1] and not pending and not t.replayed and base or 0
	if t.gone > 0 then
		if (t.gone <= rev and rev <= base) or t.gone <= forgotten then
			return 0
		end
		return put(t, held, t.fields, t.gone > rev and t.gone or rev + 1) -- a revision never stands for two states
	end
	local lost, top = missing(t, rev, forgotten)
	if #lost == 0 then
		return 0
	end
	return put(t, held, lost, top > rev and top or rev + 1)
end

local out = { noted }
local skip = known[5] == run and not forced
for i = 1, skip and 0 or tonumber(ARGV[6]) do
	local t = read()
	local remembered = remember(t)
	local status = again(t)
	if status == 0 and not remembered then
		status = 10
	end
	room = room and status < 9
	out[i + 1] = t.older and status .. ' ' .. text(t.older) or status
end

if buried > 0 then
	redis.call('HINCRBY', meta, 'gone', buried)
end
if highest > before then
	redis.call('HSET', meta, 'rev', text(highest))
end
feed.close(meta)
if last and room and host ~= '' then
	redis.call('HSET', meta, 'host:' .. host, run)
end
return out
