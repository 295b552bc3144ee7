"""Counters in Redis or Valkey, for several machines. A turn is one script, which the server runs as one piece.

A counter is two hashes, what was used by bucket and what is kept aside by holder; they expire by themselves. Numbers stay below
2**53, which Lua holds exactly.
"""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias, cast

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from typing_extensions import override

from runtime.limits.base import (
    ABSENT_MS,
    SHARE,
    Answer,
    Counters,
    CountersGoneError,
    Outcome,
    Short,
    Taken,
    Turn,
    Unseeded,
)
from runtime.limits.counting import FORGOTTEN_MS, SLACK

__all__ = ["RedisCounters"]

_CONNECTIONS: Final = 4

TURN: Final = """
local prefix, turn = KEYS[1], cjson.decode(ARGV[1])
local absent, forgotten, slack = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local share = tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, seen_key, number_key = turn[1], prefix .. 'seen', prefix .. 'numbers'
local function text(number) return string.format('%.0f', number) end
local function used_key(counter) return prefix .. 'used:' .. counter end
local function held_key(counter) return prefix .. 'held:' .. counter end
local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms + ms) end
end
local function hold(counter, amount)
  if amount > 0 then
    redis.call('HSET', held_key(counter), holder, text(amount))
    keep(held_key(counter), forgotten)
  else
    redis.call('HDEL', held_key(counter), holder)
  end
end

local seen = tonumber(redis.call('HGET', seen_key, holder) or '-1')
local known = seen >= 0 and seen + absent >= now
if seen < now then redis.call('HSET', seen_key, holder, text(now)) end
keep(seen_key, forgotten)
if turn[2] > tonumber(redis.call('HGET', number_key, holder) or '0') then
  redis.call('HSET', number_key, holder, text(turn[2]))
  keep(number_key, forgotten)
  for _, each in ipairs(turn[3]) do
    local key = used_key(each[1])
    local before = tonumber(redis.call('HGET', key, text(each[2])) or '0')
    redis.call('HSET', key, text(each[2]), text(math.max(0, before + each[3])))
    keep(key, each[4])
  end
end
for _, seed in ipairs(turn[5]) do
  local key = used_key(seed[1])
  redis.call('HSET', key, 'begun', '1')
  for _, bucket in ipairs(seed[2]) do
    local before = tonumber(redis.call('HGET', key, text(bucket[1])) or '0')
    if bucket[2] > before then redis.call('HSET', key, text(bucket[1]), text(bucket[2])) end
  end
  keep(key, seed[3])
end
for _, each in ipairs(turn[4]) do hold(each[1], each[2]) end

local function standing(ask)
  local used, held, buckets, own, begun = 0, 0, {}, 0, false
  local found = redis.call('HGETALL', used_key(ask[1]))
  for at = 1, #found, 2 do
    if found[at] == 'begun' then
      begun = true
    else
      local bucket, amount = tonumber(found[at]), tonumber(found[at + 1])
      if bucket >= ask[5] then
        used = used + amount
        buckets[#buckets + 1] = found[at]
        buckets[#buckets + 1] = found[at + 1]
      elseif bucket < ask[5] - slack then
        redis.call('HDEL', used_key(ask[1]), found[at])
      end
    end
  end
  local holds = redis.call('HGETALL', held_key(ask[1]))
  for at = 1, #holds, 2 do
    local last = tonumber(redis.call('HGET', seen_key, holds[at]) or '-1')
    if last >= 0 and last + absent >= now then
      held = held + tonumber(holds[at + 1])
      if holds[at] == holder then own = tonumber(holds[at + 1]) end
    else
      redis.call('HDEL', held_key(ask[1]), holds[at])
    end
  end
  return used, held, buckets, own, begun
end

local outcomes = {}
for number, asks in ipairs(turn[6]) do
  local unseeded, short, found, own, granted = {'unseeded'}, nil, {'taken'}, {}, {}
  for index, ask in ipairs(asks) do
    local used, held, buckets, mine, begun = standing(ask)
    if ask[7] and not begun then unseeded[#unseeded + 1] = index - 1 end
    if not short and used + held + ask[3] > ask[2] then
      short = {'short', index - 1, text(held), buckets}
    end
    local total = used + held + ask[3]
    local more = math.min(ask[9], math.floor((ask[2] - total) / share))
    granted[index] = ask[3] + (more >= ask[3] and more or 0)
    found[index + 1], own[index] = text(total - ask[3] + granted[index]), mine
  end
  if #unseeded > 1 then
    outcomes[number] = unseeded
  elseif short then
    outcomes[number] = short
  else
    for index, ask in ipairs(asks) do
      if ask[6] then
        hold(ask[1], own[index] + granted[index])
      else
        redis.call('HINCRBY', used_key(ask[1]), text(ask[4]), text(granted[index]))
      end
      keep(used_key(ask[1]), ask[8])
    end
    for index = 1, #asks do found[#found + 1] = text(granted[index]) end
    outcomes[number] = found
  end
end
return {known and 1 or 0, outcomes}
"""


class RedisCounters(Counters):
    """``url`` begins with `redis://`, `rediss://` or `unix://`; every key with ``namespace``. Raises ValueError for no URL.

    ``limit_s`` is how long a turn may take, connecting included.
    """

    def __init__(self, url: str, namespace: str, limit_s: float) -> None:
        self._pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType] — its options have no types
            url,
            max_connections=_CONNECTIONS,
            timeout=limit_s,
            socket_timeout=limit_s,
            socket_connect_timeout=limit_s,
            retry=Retry(NoBackoff(), 0),
            client_name="gatewright",
        )
        self._client = Redis(connection_pool=self._pool)
        self._prefix = f"{namespace}:{{limits}}:"
        self._limit_s = limit_s
        self._script = self._client.register_script(TURN)

    @override
    async def turn(self, turn: Turn) -> Answer:
        said = msgspec.json.encode(
            (
                turn.holder,
                turn.number,
                turn.used,
                list(turn.held.items()),
                [(seed.counter, list(seed.buckets.items()), seed.kept_ms) for seed in turn.seeds],
                turn.asks,
            )
        )
        try:
            async with asyncio.timeout(self._limit_s):
                found = await self._script([self._prefix], [said, ABSENT_MS, FORGOTTEN_MS, SLACK, SHARE])
        except TimeoutError as error:
            raise CountersGoneError(f"Redis did not answer within {self._limit_s:g} s") from error
        except (RedisError, OSError) as error:
            raise CountersGoneError(f"Redis: {str(error) or type(error).__name__}") from error
        known, outcomes = cast("tuple[int, list[_Found]]", found)
        return Answer(bool(known), tuple(_outcome(each) for each in outcomes))

    @override
    async def aclose(self) -> None:
        try:
            async with asyncio.timeout(self._limit_s):
                await self._client.aclose()
                await self._pool.aclose()
        except (RedisError, OSError, TimeoutError):
            return  # it is gone already


_Found: TypeAlias = "list[bytes | int | list[bytes]]"


def _outcome(found: _Found) -> Outcome:
    kind, rest = found[0], found[1:]
    if kind == b"taken":
        numbers = tuple(_number(each) for each in rest)
        return Taken(numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :])
    if kind == b"unseeded":
        return Unseeded(tuple(_number(each) for each in rest))
    index, held, buckets = rest
    assert isinstance(buckets, list), "what was used stands last"
    used = {int(name): int(amount) for name, amount in zip(buckets[::2], buckets[1::2], strict=True)}
    return Short(_number(index), used, _number(held))


def _number(found: bytes | int | list[bytes]) -> int:
    assert not isinstance(found, list), "only what was used is a list"
    return int(found)
