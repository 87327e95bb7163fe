-- The line of a lock, as it is. Writes nothing, so that whoever may only look can.
--
-- KEYS: line, term, place
-- Replies: member and what is known of it, in order

local lock = {line = KEYS[1], term = KEYS[2], place = KEYS[3]}
local line = {}
for _, member in ipairs(redis.call('ZRANGE', lock.line, 0, -1)) do
  local ends = redis.call('ZSCORE', lock.term, member)
  local value = redis.call('HGET', lock.place, member)
  if ends and value and tonumber(ends) > now then
    table.insert(line, member)
    table.insert(line, value)
  end
end
return line
