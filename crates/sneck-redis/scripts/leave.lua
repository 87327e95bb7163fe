-- Gives a place up, and wakes who comes next.
--
-- KEYS: bucket, sizes, names, line, term, place, left, home
-- ARGV: publish, channel, name, member, the ms until which a question of this claim may still be on its
--       way, or 0
-- Replies: {1 if the place was there, now}

local sizes, names, left = KEYS[2], KEYS[3], KEYS[7]
local lock = {line = KEYS[4], term = KEYS[5], place = KEYS[6]}
local bell, name, member = {publish = ARGV[1], channel = ARGV[2]}, ARGV[3], ARGV[4]
local doubt = tonumber(ARGV[5]) - now

-- A question that overtakes this answer on another connection would take a place for nobody.
if doubt > 0 then redis.call('SET', left, '1', 'PX', text(doubt + 1)) end
local ended = prune(lock)
local removed = remove(lock, current(lock, member))
if redis.call('EXISTS', lock.line) == 0 then
  redis.call('ZREM', names, name)
elseif ended + removed > 0 then
  wake_front(lock, size_of(sizes, name), bell)
end
return {removed, now}
