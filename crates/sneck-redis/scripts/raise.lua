-- Writes the token that a majority of servers agreed on back to one of them: later tokens are larger,
-- and the place has this one.
--
-- KEYS: bucket, term, place
-- ARGV: member, token
-- Replies: 1, or 0 when the place is gone

local value = redis.call('HGET', KEYS[3], ARGV[1])
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not value or not ends or tonumber(ends) <= now then return 0 end
local _, since, client, caller = fields(value)
local last = tonumber(redis.call('HGET', KEYS[1], 'token') or '0')
redis.call('HSET', KEYS[1], 'token', text(math.max(last, tonumber(ARGV[2]))))
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2] .. '|' .. since .. '|' .. client .. '|' .. caller)
return 1
