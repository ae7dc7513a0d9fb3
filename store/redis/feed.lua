-- Stands before the scripts that add events to a partition's feed, a stream in the same slot as the partition's tickets. The meta
-- hash holds the switch, feed, whose value is how many events the stream may have, and feed:n, the number of the newest event.
-- docs/feed.md describes the entries.
--
-- A failed XADD (another program uses the key) must not fail the change: the number is used up, and readers get a gap. Redis out
-- of memory refuses the first write of a script alone, so a change comes before its event.

local feed = { longest = 4096 } -- bytes of a value, store.MaxFeedValue

-- open takes the stream's name and the meta hash's values. While the feed is off, feed.keep is nil and no event is added.
function feed.open(stream, keep, number)
	feed.stream, feed.keep, feed.number = stream, keep or nil, tonumber(number) or 0
end

-- entry begins an entry. previous is the ticket's revision before; nil where Redis did not hold the ticket.
function feed.entry(kind, id, revision, previous, at, origin)
	local by, via = string.match(origin, '^([^\n]*)\n?(.*)')
	feed.number = feed.number + 1
	return {
		feed.stream, 'MAXLEN', '~', feed.keep, '*', '_n', string.format('%.0f', feed.number), '_kind', kind, '_id', id, '_rev', revision,
		'_prev', previous or '', '_at', at, '_by', by, '_via', via,
	}
end

function feed.add(entry)
	redis.pcall('XADD', unpack(entry))
end

-- restated adds that the change which had the revision from has the revision to.
function feed.restated(id, from, to, previous, at, origin, acknowledged)
	if feed.keep then
		local entry = feed.entry('restated', id, to, previous, at, origin)
		entry[#entry + 1], entry[#entry + 2] = '_from', from
		if acknowledged and acknowledged ~= to then
			entry[#entry + 1], entry[#entry + 2] = '_ack', acknowledged
		end
		feed.add(entry)
	end
end

-- close notes the number of the newest event.
function feed.close(meta)
	if feed.keep then
		redis.call('HSET', meta, 'feed:n', string.format('%.0f', feed.number))
	end
end
