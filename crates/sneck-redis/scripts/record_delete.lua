-- Deletes a record, if it is still the expected one. That there is none counts as done.
--
-- KEYS: record, records
-- ARGV: identity of the expected write, name
-- Replies: {1, now}; {0, now, identity, data, stamp, written in ms} of the one that is there instead

local record, records = KEYS[1], KEYS[2]
local fields = redis.call('HMGET', record, 'id', 'data', 'stamp', 'written')
if fields[1] and fields[1] ~= ARGV[1] then
  return {0, now, fields[1], fields[2], fields[3], fields[4]}
end
redis.call('DEL', record)
redis.call('SREM', records, ARGV[2])
return {1, now}
