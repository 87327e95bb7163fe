-- Writes a record, if it is still the expected one. A repeated write finds itself there.
--
-- KEYS: record, bucket, records
-- ARGV: identity of the expected write or nothing, identity of this one, data, name
-- Replies: {1, now, identity, data, stamp, written in ms}; {0, now} when there is none and one was
--       expected, or {0, now, and what there is}

local record, bucket, records = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HGET', record, 'id') or ''
local done = known == ARGV[2]
if not done and known == ARGV[1] then
  local last = tonumber(redis.call('HGET', bucket, 'token') or '0')
  local stamp = text(math.max(last + 1, micros))
  redis.call('HSET', bucket, 'token', stamp)
  redis.call('HSET', record, 'id', ARGV[2], 'data', ARGV[3], 'stamp', stamp, 'written', text(now))
  redis.call('SADD', records, ARGV[4])
  done, known = true, ARGV[2]
end
if known == '' then return {0, now} end
local fields = redis.call('HMGET', record, 'id', 'data', 'stamp', 'written')
return {done and 1 or 0, now, fields[1], fields[2], fields[3], fields[4]}
