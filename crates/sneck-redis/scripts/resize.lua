-- Gives a semaphore another number of permits, and wakes those for whom that is enough.
--
-- KEYS: sizes, line, term, place
-- ARGV: publish, channel, name, permits in all

local lock = {line = KEYS[2], term = KEYS[3], place = KEYS[4]}
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
prune(lock)
wake_front(lock, tonumber(ARGV[4]), {publish = ARGV[1], channel = ARGV[2]})
return 1
