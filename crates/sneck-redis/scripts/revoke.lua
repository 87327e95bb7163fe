-- Asks whoever holds a lock to let go, and says whom. Nothing is taken away.
--
-- KEYS: line, term, place
-- ARGV: publish, channel
-- Replies: member and what is known of it, for each holder

local lock = {line = KEYS[1], term = KEYS[2], place = KEYS[3]}
local bell, asked = {publish = ARGV[1], channel = ARGV[2]}, {}
prune(lock)
for _, member in ipairs(redis.call('ZRANGE', lock.line, 0, -1)) do
  local value = redis.call('HGET', lock.place, member)
  -- Holders are at the front, but for permits whose number was lowered.
  if is_held(value) then
    redis.call('HSET', lock.place, asked_back(member), '1')
    -- A holder that never waited is not listening, and learns it when it renews.
    wake(bell, value, member)
    table.insert(asked, member)
    table.insert(asked, value)
  end
end
return asked
