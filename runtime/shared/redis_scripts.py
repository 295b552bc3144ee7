"""What the server does in one piece: Lua, for Redis and Valkey alike. Knows how an entry lies there, and nothing else.

An entry is a value under a key of its own, which expires by itself, and a name in two sorted sets of its topic: by name, to
find what begins alike, and by end, to take out what is over. The sets expire, too, after the last of their entries.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CLAIM", "CLEAR", "ENTRIES", "PUT", "REMOVE", "REPLACE", "TELL"]

_SET: Final = """
local function set(value, ttl)
  if ttl <= 0 then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('ZREM', KEYS[3], ARGV[1])
    return
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('SET', KEYS[1], value, 'PX', ttl)
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  redis.call('ZADD', KEYS[3], now + ttl, ARGV[1])
  local over = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - 1000, 'LIMIT', 0, 16)
  if #over > 0 then
    redis.call('ZREM', KEYS[2], unpack(over))
    redis.call('ZREM', KEYS[3], unpack(over))
  end
  for each = 2, 3 do
    if redis.call('PTTL', KEYS[each]) < ttl + 60000 then
      redis.call('PEXPIRE', KEYS[each], ttl + 120000)
    end
  end
end
"""

PUT: Final = (
    _SET
    + """
set(ARGV[2], tonumber(ARGV[3]))
"""
)

CLAIM: Final = (
    _SET
    + """
local found = redis.call('GET', KEYS[1])
if not found then
  set(ARGV[2], tonumber(ARGV[3]))
end
return found
"""
)

REPLACE: Final = (
    _SET
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[4] then
  return 0
end
set(ARGV[2], tonumber(ARGV[3]))
return 1
"""
)

REMOVE: Final = """
local found = redis.call('GET', KEYS[1])
if not found or (ARGV[2] and found ~= ARGV[2]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
"""

ENTRIES: Final = """
local found, from, wanted = {}, ARGV[1], 2 * tonumber(ARGV[3])
while #found < wanted do
  local names = redis.call('ZRANGEBYLEX', KEYS[2], from, ARGV[2], 'LIMIT', 0, 500)
  if #names == 0 then
    break
  end
  local places = {}
  for each, name in ipairs(names) do
    places[each] = KEYS[1] .. name
  end
  local values = redis.call('MGET', unpack(places))
  for each, name in ipairs(names) do
    if values[each] and #found < wanted then
      found[#found + 1] = name
      found[#found + 1] = values[each]
    end
  end
  from = '(' .. names[#names]
end
return found
"""
"""``KEYS[1]`` is what the keys of the topic's values begin with."""

CLEAR: Final = """
local names, live = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, 500), 0
for _, name in ipairs(names) do
  live = live + redis.call('DEL', KEYS[1] .. name)
end
if #names > 0 then
  redis.call('ZREM', KEYS[2], unpack(names))
  redis.call('ZREM', KEYS[3], unpack(names))
end
return {live, #names}
"""
"""One batch: how many values there were, and how many names."""

TELL: Final = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', 10000, '*', 'm', ARGV[1])
redis.call('PEXPIRE', KEYS[1], 120000)
"""
