-- The line of a lock. This text comes before each of the scripts, which share what is here.
--
-- A place is a member of three keys of its lock: of the sorted set `line`, by the order of arrival; of
-- the sorted set `term`, by the millisecond at which it ends; and of the hash `place`, with what is
-- known about it. Its first letter is its mode: x and w alone, s shared, p<n> for n permits.
-- All times are the server's: nothing a client's clock says is ever compared with anything.

-- Lua's own conversion writes 1.7953966436203e+15 for a token.
local function text(number)
  return string.format('%.0f', number)
end

local function micros_now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local micros = micros_now()
local now = math.floor(micros / 1000)

local function kind(member)
  return string.sub(member, 1, 1)
end

local function alone(member)
  return kind(member) == 'x' or kind(member) == 'w'
end

local function take(member)
  return tonumber(string.match(member, '^p(%d+):'))
end

-- What is known about a place: token|since|client|caller. A waiter's token is 0.
local function fields(value)
  return string.match(value, '^(%d+)|(%d+)|([^|]*)|(.*)$')
end

local function is_held(value)
  return value and string.sub(value, 1, 2) ~= '0|'
end

-- Permits ahead of a place, as far as they count: whether it has to wait for a place of another kind,
-- whether somebody ahead waits, and how many are taken.
local function permits_ahead(lock, ahead, size)
  local taken, other, waits = 0, nil, false
  local values = #ahead > 0 and redis.call('HMGET', lock.place, unpack(ahead)) or {}
  for at, member in ipairs(ahead) do
    if kind(member) == 'p' then taken = taken + take(member) else other = at - 1 end
    if not is_held(values[at]) and taken > size then waits = true end
  end
  return taken, other, waits
end

-- The rule of admission, the same as `admit` of sneck-core: nothing when the place is granted; else
-- the rank of the place it waits behind, or -1 when it waits for permits of any holder. `value` is what is
-- known about the place; `size` matters to permits only.
local function behind(lock, member, value, rank, size)
  if is_held(value) then return nil end
  if alone(member) then
    if rank == 0 then return nil end
    return rank - 1
  end
  local ahead = rank > 0 and redis.call('ZRANGE', lock.line, 0, rank - 1) or {}
  if kind(member) == 's' then
    for at = #ahead, 1, -1 do
      if kind(ahead[at]) ~= 's' then return at - 1 end
    end
    return nil
  end
  local taken, other, waits = permits_ahead(lock, ahead, size)
  if other then return other end
  if waits then return rank - 1 end
  if taken + take(member) > size then return -1 end
  return nil
end

-- How many permits the semaphore has; 0 where nobody ever asked for any.
local function size_of(sizes, name)
  return tonumber(redis.call('HGET', sizes, name) or '0')
end

local function wake(bell, value, member)
  local _, _, client = fields(value)
  redis.call(bell.publish, bell.channel .. client, string.match(member, ':(.*)$'))
end

-- Wakes those at the front who may have the lock and do not know it yet: one, or the readers or the
-- takers of permits that fit together.
local function wake_front(lock, size, bell)
  local first, taken, seen = 0, 0, nil
  while true do
    local members = redis.call('ZRANGE', lock.line, first, first + 99)
    if #members == 0 then return end
    local values = redis.call('HMGET', lock.place, unpack(members))
    for at, member in ipairs(members) do
      local value = values[at]
      if not value then return end
      local fits = seen == nil or (seen == kind(member) and not alone(member))
      if kind(member) == 'p' then
        taken = taken + take(member)
        fits = fits and taken <= size
      end
      if not fits and not is_held(value) then return end
      if not is_held(value) then wake(bell, value, member) end
      seen = kind(member)
    end
    first = first + 100
  end
end

-- What a place is called by now: a writer that was downgraded is a reader.
local function current(lock, member)
  if kind(member) == 'w' and not redis.call('ZSCORE', lock.line, member) then
    local shared = 's' .. string.sub(member, 2)
    if redis.call('ZSCORE', lock.line, shared) then return shared end
  end
  return member
end

-- The field of the hash that says that a holder was asked to let go.
local function asked_back(member)
  return '!' .. member
end

local function is_asked_back(lock, member)
  return redis.call('HEXISTS', lock.place, asked_back(member))
end

local function remove(lock, member)
  redis.call('ZREM', lock.term, member)
  redis.call('HDEL', lock.place, member, asked_back(member))
  return redis.call('ZREM', lock.line, member)
end

-- Removes the places whose term is over; says how many.
local function prune(lock)
  local ended = redis.call('ZRANGEBYSCORE', lock.term, '-inf', text(now))
  for _, member in ipairs(ended) do remove(lock, member) end
  return #ended
end

-- Gives a place another term, and keeps the keys of its lock for as long as somebody is in line.
local function prolong(lock, names, name, member, length)
  redis.call('ZADD', lock.term, text(now + length), member)
  local last = redis.call('ZRANGE', lock.term, -1, -1, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', lock.line, text(last))
  redis.call('PEXPIREAT', lock.term, text(last))
  redis.call('PEXPIREAT', lock.place, text(last))
  redis.call('ZADD', names, text(last), name)
end

-- A key may be deleted alone, by an eviction or an operator. Gives places that nothing is known of the end of
-- a term from now, by when whoever lives has renewed: the dead among them would be in the way for as long as
-- others keep the line. Everybody's longest term, as theirs is not known.
local function end_all(lock, home_key)
  if redis.call('ZCARD', lock.line) == redis.call('ZCARD', lock.term) then return end
  local last = text(now + tonumber(redis.call('HGET', home_key, 'term') or '0'))
  for _, member in ipairs(redis.call('ZRANGE', lock.line, 0, -1)) do
    if not redis.call('ZSCORE', lock.term, member) then redis.call('ZADD', lock.term, last, member) end
  end
end

-- How long until the place ends that `member` waits for; a server that may have lost grants counts
-- as a place of its own.
local function wait_ms(lock, at, quiet)
  local ends
  if at == nil then
    ends = now
  elseif at >= 0 then
    ends = redis.call('ZSCORE', lock.term, redis.call('ZRANGE', lock.line, at, at)[1])
  else
    ends = redis.call('ZRANGE', lock.term, 0, 0, 'WITHSCORES')[2]
  end
  return math.max(tonumber(ends or now), quiet) - now
end

-- Whether the slot was moved here from a server that still lives, so that nothing was lost.
local function was_moved(home)
  local nodes = redis.call('CLUSTER', 'NODES')
  local flags = string.match('\n' .. nodes, '\n' .. home .. ' [^ ]+ ([^ ]+) ')
  return flags ~= nil and string.find(flags, 'master') ~= nil and string.find(flags, 'fail') == nil
end

-- Until when nobody new is let in. Replication is asynchronous, so a server that took over may not know
-- of the last grants of the one before; whoever got them knows that they are lost once their term is
-- over. `me` is the run id of this server, or 'cluster'; `before` what the caller used last, if it came
-- here from another server just now.
local function quiet_until(home_key, me, before, length)
  local in_cluster = me == 'cluster'
  if in_cluster then me = redis.call('CLUSTER', 'MYID') end
  local known = redis.call('HMGET', home_key, 'home', 'quiet', 'term')
  local home, quiet, longest = known[1], tonumber(known[2] or '0'), tonumber(known[3] or '0')
  if length > longest then
    longest = length
    redis.call('HSET', home_key, 'term', text(longest))
  end
  if not home and before ~= '' then home = before end
  if home ~= me then
    if home and not (in_cluster and was_moved(home)) then
      quiet = now + longest
      redis.call('HSET', home_key, 'quiet', text(quiet))
    end
    redis.call('HSET', home_key, 'home', me)
  end
  return quiet
end
