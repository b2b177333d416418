"""The ledger in Redis: two keys, and the scripts that change them.

`{KEY}:runs` is a hash with a field for each run, `{KEY}:past` a string. Both have one hash tag, so
that they are on one node of a cluster. Each change is a script, which Redis runs as one step: a
record takes the place of an older one only, whatever became of a write before it.
"""

import asyncio
import contextlib
import hashlib
import socket
import threading
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from aprp.stats.machines import Fold, Ledger, Past, read_past, read_run

# KEYS: runs, past. ARGV: the digest of the past that is known, a newer past or "", then ids and
# records. Gives the past, false where there is none, or 1 where it is the known one; and all runs.
_EXCHANGE: Final = """
local function order(text)
  return tonumber(string.match(text or '', '^%d+') or -1)
end
local past = redis.call('GET', KEYS[2])
if ARGV[2] ~= '' and order(ARGV[2]) > order(past) then
  redis.call('SET', KEYS[2], ARGV[2])
  past = ARGV[2]
end
for i = 3, #ARGV, 2 do
  if order(ARGV[i + 1]) > order(redis.call('HGET', KEYS[1], ARGV[i])) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
if past and redis.sha1hex(past) == ARGV[1] then
  past = 1
end
return {past, redis.call('HGETALL', KEYS[1])}
"""

# KEYS: runs, past. ARGV: the order that the past must have, the new past, then ids and the orders
# that their records must have. Gives 1, or 0 where something is not as it must be.
_FOLD: Final = """
local function order(text)
  return tonumber(string.match(text or '', '^%d+') or -1)
end
if math.max(order(redis.call('GET', KEYS[2])), 0) ~= tonumber(ARGV[1]) then
  return 0
end
for i = 3, #ARGV, 2 do
  if order(redis.call('HGET', KEYS[1], ARGV[i])) ~= tonumber(ARGV[i + 1]) then
    return 0
  end
end
redis.call('SET', KEYS[2], ARGV[2])
for i = 3, #ARGV, 2 do
  redis.call('HDEL', KEYS[1], ARGV[i])
end
return 1
"""

_UNKNOWN_USER: Final = "user or password in REDIS_URL is missing or wrong"
_FULL: Final = "Redis is full: raise its maxmemory"
_OTHER: Final = "what answers there is no Redis: look at host and port in REDIS_URL"
_REPLICA: Final = "this is a replica: name the primary in REDIS_URL"
_DENIED: Final = "the user in REDIS_URL needs EVAL, GET, SET, HGET, HSET, HDEL and HGETALL"

# What to do about an error, by its type; and by its words, where an old server puts those of an
# error within a script into another's text.
_ADVICE: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (AuthenticationError, "NOAUTH", _UNKNOWN_USER),
    (NoPermissionError, "NOPERM", _DENIED),
    (ReadOnlyError, "READONLY", _REPLICA),
    (OutOfMemoryError, "OOM", _FULL),
    (InvalidResponse, "Protocol Error", _OTHER),
    (MovedError, "MOVED", "this is a cluster: add ?cluster=true to REDIS_URL"),
    (ResponseError, "WRONGTYPE", "something else uses the key: choose another REDIS_KEY"),
)
_LONGEST_REASON: Final = 200


class StoreError(Exception):
    """Redis did not do what it was asked; the text says why, without passwords."""


class Store:
    """The ledger in Redis. For one event loop; its calls come one after the other."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        """`timeout` is the longest that a call may take, in seconds, connecting included."""
        self._url, _, query = url.partition("?")
        given = parse_qs(query)
        self._cluster = given.pop("cluster", ["false"]) == ["true"]
        self._options = {name: values[-1] for name, values in given.items()}
        self._keys = (f"{{{key}}}:runs", f"{{{key}}}:past")
        self._timeout = timeout
        self._client: Redis | RedisCluster | None = None
        self._lookup = _Lookup()
        # As it was last read, and the digest of its text: it is long and seldom changes.
        self._past, self._digest = Past(), ""

    async def exchange(self, put: Ledger) -> Ledger:
        """Write records, where they are newer than those in Redis, and read all of them.

        Records that cannot be read are left out. Raises StoreError.
        """
        past = put.past.text() if put.past.order else ""
        args = [self._digest, past]
        for ident, record in put.runs.items():
            args += (ident, record.text())
        told = await self._call(_EXCHANGE, args)
        try:
            past_text, flat = told
            texts = [_text(value) for value in flat]
            if past_text != 1:
                self._keep(past_text)
        except (TypeError, ValueError, AttributeError):
            raise StoreError(_OTHER) from None
        runs = {}
        for ident, text in zip(texts[::2], texts[1::2], strict=False):
            run = read_run(text)
            if run is not None:
                runs[ident] = run
        return Ledger(runs, self._past)

    async def fold(self, fold: Fold) -> bool:
        """Put a new past in place of records; return whether they were still there.

        Raises StoreError.
        """
        args = [str(fold.before), fold.past.text()]
        for ident, order in fold.orders.items():
            args += (ident, str(order))
        return bool(await self._call(_FOLD, args) == 1)

    async def close(self) -> None:
        """Close the connections; what is under way may still be done by Redis later."""
        client, self._client = self._client, None
        if client is not None:
            # Whatever becomes of a connection that is given up.
            with contextlib.suppress(RedisError, RedisClusterException, OSError):
                async with asyncio.timeout(self._timeout):
                    await client.aclose()

    def _keep(self, past: bytes | None) -> None:
        # One that cannot be read is as good as none: a newer one takes its place.
        self._past = (None if past is None else read_past(_text(past))) or Past()
        self._digest = "" if past is None else hashlib.sha1(past, usedforsecurity=False).hexdigest()

    async def _call(self, script: str, args: list[str]) -> Any:
        try:
            try:
                return await self._eval(script, args)
            except MovedError:
                # A cluster, and this node is not the one that has the keys.
                await self.close()
                if self._cluster or self._url.startswith("unix:"):
                    raise
                self._cluster = True
                return await self._eval(script, args)
        except TimeoutError:
            reason = f"no answer within {self._timeout:g} s (REDIS_TIMEOUT)"
        except (RedisError, RedisClusterException, OSError, ValueError) as error:
            reason = explain(error)
        # A reply that comes late must not be taken for that to another question.
        await self.close()
        raise StoreError(reason)

    async def _eval(self, script: str, args: list[str]) -> Any:
        async with asyncio.timeout(self._timeout):
            if self._client is None:
                await self._lookup.check(self._url)
                self._client = self._connect()
            return await self._client.eval(script, len(self._keys), *self._keys, *args)

    def _connect(self) -> Redis | RedisCluster:
        make: Any = RedisCluster if self._cluster else Redis
        return cast(
            Redis | RedisCluster,
            make.from_url(
                self._url,
                # Without an overall timeout of its own: `_eval` has one.
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,
                **self._options,
            ),
        )


class _Lookup:
    """Looks up the name of Redis's host, in a thread of its own and one at a time.

    The event loop's own lookups share a few threads with those of origins: a name server that
    does not answer must not take these away from requests.
    """

    def __init__(self) -> None:
        self._running: asyncio.Future[Exception | None] | None = None

    async def check(self, url: str) -> None:
        """Return when the name in a URL can be looked up; raises OSError where it cannot."""
        host = urlsplit(url).hostname
        if not host:
            return
        if self._running is None:
            loop = asyncio.get_running_loop()
            self._running = loop.create_future()
            arguments = (host, loop, self._running)
            threading.Thread(target=_look_up, args=arguments, daemon=True).start()
        running = self._running
        try:
            # Who gives up waiting leaves it to the next call.
            error = await asyncio.shield(running)
        finally:
            if running.done():
                self._running = None
        if error is not None:
            raise error


def _look_up(
    host: str, loop: asyncio.AbstractEventLoop, told: "asyncio.Future[Exception | None]"
) -> None:
    error: Exception | None = None
    try:
        socket.getaddrinfo(host, None)
    except OSError as failure:
        error = OSError(f"the host {host} is not found: {failure.strerror}")
    # The loop may be closed by now: nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(told.set_result, error)


def explain(error: Exception) -> str:
    """Say in one line what went wrong and, where it is known, what to do."""
    text = " ".join(str(error).split()) or type(error).__name__
    for kind, word, advice in _ADVICE:
        if (isinstance(error, kind) and kind is not ResponseError) or word in text:
            return f"{text[:_LONGEST_REASON]} ({advice})"
    return text[:_LONGEST_REASON]


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
