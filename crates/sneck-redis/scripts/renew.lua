-- Gives many places another term; none is ever made anew.
--
-- KEYS: home, sizes, names, then line, term, place for each place
-- ARGV: me, before, term in ms, publish, channel, then name, member, token or 0 for each place
-- Replies: {now, what became of it, ms to wait, ...}: 1 held, 0 waiting, 2 its turn, 3 held and asked
--       to let go, -1 gone

local home, sizes, names = KEYS[1], KEYS[2], KEYS[3]
local length, bell = tonumber(ARGV[3]), {publish = ARGV[4], channel = ARGV[5]}
local quiet = quiet_until(home, ARGV[1], ARGV[2], length)

local function renew(lock, name, member, token)
  local size = size_of(sizes, name)
  if prune(lock) > 0 then wake_front(lock, size, bell) end
  member = current(lock, member)
  local rank = redis.call('ZRANK', lock.line, member)
  local value = rank and redis.call('HGET', lock.place, member)
  if not value then return -1, 0 end
  if token ~= '0' then
    -- A place that is held under another token, or waits, is not the one that was granted.
    if string.sub(value, 1, #token + 1) ~= token .. '|' then return -1, 0 end
    prolong(lock, names, name, member, length)
    return is_asked_back(lock, member) == 1 and 3 or 1, 0
  end
  prolong(lock, names, name, member, length)
  local at = behind(lock, member, value, rank, size)
  if at == nil and now >= quiet then return 2, 0 end
  return 0, wait_ms(lock, at, quiet)
end

local replies = {now}
for place = 0, (#KEYS - 3) / 3 - 1 do
  local key, arg = 4 + 3 * place, 6 + 3 * place
  local lock = {line = KEYS[key], term = KEYS[key + 1], place = KEYS[key + 2]}
  local became, wait = renew(lock, ARGV[arg], ARGV[arg + 1], ARGV[arg + 2])
  table.insert(replies, became)
  table.insert(replies, wait)
end
return replies
