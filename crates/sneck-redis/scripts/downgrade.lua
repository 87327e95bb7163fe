-- Makes a reader of a writer that holds its lock, at the same place in line, and lets others in beside it.
--
-- KEYS: sizes, line, term, place
-- ARGV: publish, channel, name, member
-- Replies: 1; 0 when it holds nothing that could be shared

local lock = {line = KEYS[2], term = KEYS[3], place = KEYS[4]}
local bell, name, writer = {publish = ARGV[1], channel = ARGV[2]}, ARGV[3], ARGV[4]
prune(lock)
local member = current(lock, writer)
local value = redis.call('HGET', lock.place, member)
if kind(writer) ~= 'w' or not is_held(value) then return 0 end
if member ~= writer then return 1 end

local reader = 's' .. string.sub(writer, 2)
local asked = is_asked_back(lock, writer)
local at, ends = redis.call('ZSCORE', lock.line, writer), redis.call('ZSCORE', lock.term, writer)
remove(lock, writer)
redis.call('ZADD', lock.line, at, reader)
redis.call('ZADD', lock.term, text(ends), reader)
redis.call('HSET', lock.place, reader, value)
if asked == 1 then redis.call('HSET', lock.place, asked_back(reader), '1') end
-- The keys are new ones when nobody else was in line.
local last = redis.call('ZRANGE', lock.term, -1, -1, 'WITHSCORES')[2]
for _, key in pairs(lock) do redis.call('PEXPIREAT', key, text(last)) end
wake_front(lock, size_of(KEYS[1], name), bell)
return 1
