-- Gives a semaphore another number of permits. Wakes those for whom that is enough, and those who ask for
-- more than there are by now.
--
-- KEYS: sizes, line, term, place
-- ARGV: publish, channel, name, permits in all

local lock = {line = KEYS[2], term = KEYS[3], place = KEYS[4]}
local bell, size = {publish = ARGV[1], channel = ARGV[2]}, tonumber(ARGV[4])
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
prune(lock)
wake_front(lock, size, bell)
for _, member in ipairs(redis.call('ZRANGE', lock.line, 0, -1)) do
  if kind(member) == 'p' and take(member) > size then
    local value = redis.call('HGET', lock.place, member)
    if not is_held(value) then wake(bell, value, member) end
  end
end
return 1
