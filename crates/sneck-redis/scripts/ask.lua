-- Makes sure that a place is in line, and says where it stands. Asking again extends its term.
--
-- KEYS: bucket, sizes, names, line, term, place, left, home
-- ARGV: me, before, term in ms, publish, channel, name, member, not after this ms,
--       1 if the place was in line, 1 to wait in line if it must, client, caller, permits in all
-- Replies: held {1, now, token, 1 if asked to let go}; waiting {0, now, ahead, ms to wait, holder, what is known of it};
--       gone {-1, now}; late {-2, now}; another number of permits {-3, now, number};
--       fewer permits than asked for {-4, now, number}; a full line {-5, now}

local bucket, sizes, names = KEYS[1], KEYS[2], KEYS[3]
local lock = {line = KEYS[4], term = KEYS[5], place = KEYS[6]}
local length, bell = tonumber(ARGV[3]), {publish = ARGV[4], channel = ARGV[5]}
local name, member = ARGV[6], ARGV[7]
local was_in_line, may_wait = ARGV[9] == '1', ARGV[10] == '1'
local LINE_MAX = 5000

-- A question that was held up for so long that nobody waits for its answer must not take a place.
if now > tonumber(ARGV[8]) then return {-2, now} end
-- Nor one that comes after its own claim has left.
if redis.call('EXISTS', KEYS[7]) == 1 then return {-1, now} end

local quiet = quiet_until(KEYS[8], ARGV[1], ARGV[2], length)
if prune(lock) > 0 then wake_front(lock, size_of(sizes, name), bell) end

-- Each command that is not run makes the lock faster for everybody: what only permits need is not read for
-- others, and what is known is not read again.
local size, asked_size = kind(member) == 'p' and size_of(sizes, name) or 0, tonumber(ARGV[13])
member = current(lock, member)
local rank = redis.call('ZRANK', lock.line, member)
local entered, value = not rank, nil
if entered then
  if was_in_line then return {-1, now} end
  if asked_size > 0 then
    if size == 0 then
      redis.call('HSET', sizes, name, text(asked_size))
      size = asked_size
    elseif size ~= asked_size then
      return {-3, now, size}
    end
  end
  rank = redis.call('ZCARD', lock.line)
  if rank >= LINE_MAX then return {-5, now} end
  local last = rank > 0 and redis.call('ZRANGE', lock.line, -1, -1, 'WITHSCORES')[2] or '0'
  redis.call('ZADD', lock.line, text(tonumber(last) + 1), member)
  value = '0|' .. text(now) .. '|' .. ARGV[11] .. '|' .. ARGV[12]
else
  value = redis.call('HGET', lock.place, member)
  if not value then
    -- What was known about it was deleted alone, and nobody can say any more whether it was held.
    remove(lock, member)
    return {-1, now}
  end
end

local token, since, client, caller = fields(value)
local at = behind(lock, member, value, rank, size)
if at == nil and (token ~= '0' or now >= quiet) then
  if token == '0' then
    local last = tonumber(redis.call('HGET', bucket, 'token') or '0')
    token = text(math.max(last + 1, micros))
    redis.call('HSET', bucket, 'token', token)
    redis.call('HSET', lock.place, member, token .. '|' .. since .. '|' .. client .. '|' .. caller)
  end
  prolong(lock, names, name, member, length)
  return {1, now, token, entered and 0 or is_asked_back(lock, member)}
end

local wait = wait_ms(lock, at, quiet)
local holder = redis.call('ZRANGE', lock.line, 0, 0)[1]
local about = redis.call('HGET', lock.place, holder)
if holder == member or not is_held(about) then holder, about = '', '' end
local too_many = kind(member) == 'p' and take(member) > size
if too_many or (entered and not may_wait) then
  remove(lock, member)
  if too_many then return {-4, now, size} end
else
  if entered then redis.call('HSET', lock.place, member, value) end
  prolong(lock, names, name, member, length)
  end_all(lock, KEYS[8])
end
return {0, now, rank, wait, holder, about}
