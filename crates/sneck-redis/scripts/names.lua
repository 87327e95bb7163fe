-- The names of the locks of one bucket that somebody is in line for.
--
-- KEYS: names

return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. text(now), '+inf')
