"""The ledger in a real Redis: the scripts do what the model does, and what Redis refuses."""

import asyncio
import socket
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aprp.stats.machines import Fold, Ledger, Past, Run
from aprp.stats.redis_store import Store, StoreError
from tests.e2e.certificates import Authority
from tests.e2e.redis_servers import RedisServer, free_port, redis_cluster, redis_server
from tests.peers import closed_port
from tests.stats.test_machines import ModelRedis

PASSWORD = "hunter2/with@odd:letters"
KEYS = ("{test}:runs", "{test}:past")
T = TypeVar("T")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis"), "--requirepass", PASSWORD) as server:
        yield server


@pytest.fixture
def redis(shared: RedisServer) -> RedisServer:
    """An empty Redis that wants a password."""
    shared.told("FLUSHALL")
    return shared


def url(server: RedisServer, password: str = "hunter2%2Fwith%40odd%3Aletters") -> str:
    return f"redis://:{password}@127.0.0.1:{server.port}"


def run(order: int = 1, over: bool = False, **totals: int) -> Run:
    return Run(order, 1_800_000_000, "web-1", over, totals)


def ask(address: str, *puts: Ledger, timeout: float = 5.0, fold: Fold | None = None) -> list[Any]:
    """What a store answers to exchanges, one after the other, and to a fold at the end."""

    async def asking() -> list[Any]:
        store = Store(address, "test", timeout)
        try:
            answers: list[Any] = [await store.exchange(put) for put in puts]
            return answers if fold is None else [*answers, await store.fold(fold)]
        finally:
            await store.close()

    return within_one_loop(asking())


def within_one_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run it; nothing may be left under way or unseen at the loop's end."""
    complaints: list[str] = []

    async def watched() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        result = await work
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    result = asyncio.run(watched())
    assert complaints == []
    return result


def refusal(address: str, timeout: float = 5.0) -> str:
    with pytest.raises(StoreError) as raised:
        ask(address, Ledger({"one": run()}), timeout=timeout)
    assert "hunter2" not in str(raised.value)
    return str(raised.value)


RECORDS = st.builds(
    run, st.integers(0, 3), st.booleans(), requests=st.integers(0, 9), tunnels=st.integers(0, 9)
)
PASTS = st.builds(
    Past,
    st.integers(0, 3),
    st.integers(0, 9),
    st.dictionaries(st.sampled_from(["requests"]), st.integers(0, 2**62 - 1)),
)
PUTS = st.builds(
    Ledger, st.dictionaries(st.sampled_from(["a", "b", "c"]), RECORDS, max_size=3), PASTS
)
FOLDS = st.builds(
    lambda before, past, orders: Fold(replace(past, order=before + 1), before, orders),
    st.integers(0, 3),
    PASTS,
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), max_size=2),
)


def test_redis_does_what_the_model_does(redis: RedisServer) -> None:
    async def compare(store: Store, steps: list[Ledger | Fold | None]) -> None:
        await asyncio.to_thread(redis.told, "FLUSHALL")
        model = ModelRedis()
        for step in steps:
            if step is None:
                await asyncio.to_thread(redis.told, "FLUSHALL")
                model = ModelRedis()
            elif isinstance(step, Fold):
                assert await store.fold(step) == model.fold(step)
            else:
                expected = model.exchange(step)
                assert await store.exchange(step) == expected

    with asyncio.Runner() as runner:
        store = Store(url(redis), "test", 5.0)

        @settings(max_examples=60)
        @given(st.lists(PUTS | FOLDS | st.none(), max_size=6))
        def check(steps: list[Ledger | Fold | None]) -> None:
            runner.run(compare(store, steps))

        check()
        runner.run(store.close())


def test_the_past_is_sent_where_it_is_new_alone(redis: RedisServer) -> None:
    past = Past(4, 2, {"requests": 7})

    async def asking() -> None:
        store = Store(url(redis), "test", 5.0)
        known = (await store.exchange(Ledger(past=past))).past
        assert known == past
        assert redis.told("GET", KEYS[1]) == past.text()
        assert (await store.exchange(Ledger())).past is known
        # Nothing is not the same as nothing new.
        redis.told("FLUSHALL")
        assert (await store.exchange(Ledger())).past == Past()
        await store.close()

    within_one_loop(asking())


def test_what_others_wrote_there_is_left_out(redis: RedisServer) -> None:
    redis.told("HSET", KEYS[0], "odd", "no record", "bytes", b"\xff\xfe", "new", '5 {"x":1}')
    redis.told("SET", KEYS[1], "nonsense")
    put = Ledger({"one": run(requests=3)})
    assert ask(url(redis), put) == [put]
    assert redis.told("HGET", KEYS[0], "odd") == "no record"


@pytest.mark.parametrize(
    "password",
    ["", ":hunter2@", "ann:hunter2@"],
)
def test_no_password_or_a_wrong_one(redis: RedisServer, password: str) -> None:
    told = refusal(f"redis://{password}127.0.0.1:{redis.port}")
    assert told.endswith("(user or password in REDIS_URL is missing or wrong)")


def test_a_user_that_may_not(redis: RedisServer) -> None:
    redis.told("ACL SETUSER", "reader", "on", ">hunter2", "~*", "+get", "+hgetall")
    try:
        told = refusal(f"redis://reader:hunter2@127.0.0.1:{redis.port}")
        assert "needs EVAL, GET, SET, HGET, HSET, HDEL and HGETALL" in told
        redis.told("ACL SETUSER", "reader", "+eval", "+set", "+hget", "+hset", "+hdel")
        put = Ledger({"one": run(requests=3)})
        fold = Fold(Past(1, 1, {"requests": 3}), 0, {"one": 1})
        address = f"redis://reader:hunter2@127.0.0.1:{redis.port}"
        assert ask(address, put, fold=fold) == [put, True]
    finally:
        redis.told("ACL DELUSER", "reader")


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_something_else_uses(redis: RedisServer, key: str) -> None:
    redis.told("LPUSH", key, "x")
    assert "WRONGTYPE" in refusal(url(redis))
    assert "choose another REDIS_KEY" in refusal(url(redis))
    assert redis.told("LRANGE", key, 0, -1) == ["x"]


def test_a_replica(redis: RedisServer) -> None:
    redis.told("REPLICAOF", "127.0.0.1", "1")
    try:
        assert "this is a replica: name the primary" in refusal(url(redis))
    finally:
        redis.told("REPLICAOF", "NO", "ONE")


def test_a_full_redis(redis: RedisServer) -> None:
    redis.told("CONFIG SET", "maxmemory", 1)
    try:
        assert "Redis is full: raise its maxmemory" in refusal(url(redis))
    finally:
        redis.told("CONFIG SET", "maxmemory", 0)


def test_a_redis_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        told = refusal(f"redis://:hunter2@127.0.0.1:{port}", timeout=0.1)
        assert told == "no answer within 0.1 s (REDIS_TIMEOUT)"
        assert "no answer" in refusal(f"redis://127.0.0.1:{port}?cluster=true", timeout=0.1)


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n" * 20, b"$-1\r\n" * 20, b"\xff" * 100, b""],
    ids=["http", "ok", "nothing", "binary", "closed"],
)
def test_something_that_is_no_redis(answer: bytes) -> None:
    async def asking() -> str:
        async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if answer:
                writer.write(answer)
                while await reader.read(1000):
                    pass
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answers, "127.0.0.1", 0)
        store = Store(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", "test", 0.3)
        with pytest.raises(StoreError) as raised:
            await store.exchange(Ledger({"one": run()}))
        await store.close()
        server.close()
        # What serves here sees that the store has closed, too.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        return str(raised.value)

    told = within_one_loop(asking())
    # Of one that sends no line nobody can tell what it is.
    if b"\n" in answer:
        assert "what answers there is no Redis: look at host and port in REDIS_URL" in told
    assert told


def test_an_address_where_nobody_is(tmp_path: Path) -> None:
    port = closed_port()
    for query in ("", "?cluster=true"):
        assert f"127.0.0.1:{port}" in refusal(f"redis://:hunter2@127.0.0.1:{port}{query}")
    assert "No such file" in refusal(f"unix://:hunter2@{tmp_path}/none")
    told = refusal("redis://:hunter2@nohost.invalid")
    assert told.startswith("the host nohost.invalid is not found: ")


def test_tls_to_a_redis_without_it_and_files_that_are_missing(redis: RedisServer) -> None:
    assert refusal(url(redis).replace("redis://", "rediss://"), timeout=0.5)
    missing = url(redis).replace("redis://", "rediss://") + "?ssl_ca_certs=/no/such.pem"
    assert "No such file" in refusal(missing)


def test_tls(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    certificate, key = authority.files("redis", "IP:127.0.0.1")
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file")
    port = free_port()
    options = ("--tls-port", port, *files, authority.file)
    with redis_server(tmp_path, *map(str, options)):
        put = Ledger({"one": run(requests=3)})
        address = f"rediss://127.0.0.1:{port}"
        given = f"ssl_ca_certs={authority.file}&ssl_certfile={certificate}&ssl_keyfile={key}"
        assert ask(f"{address}?{given}", put) == [put]
        assert "certificate verify failed" in refusal(address)
        # The certificate is not one for this name.
        other = f"rediss://localhost:{port}?{given}"
        assert "certificate verify failed" in refusal(other)


def test_a_socket_and_a_numbered_database(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("r")
    with redis_server(directory, "--unixsocket", str(directory / "s")) as server:
        put = Ledger({"one": run(requests=3)})
        assert ask(f"unix://{directory}/s?db=3", put) == [put]
        assert ask(f"{server.url}/3", Ledger()) == [put]
        assert ask(f"{server.url}/0", Ledger()) == [Ledger()]


def test_a_call_after_one_that_failed(redis: RedisServer) -> None:
    async def asking() -> Ledger:
        store = Store(url(redis), "test", 0.3)
        redis.hang()
        with pytest.raises(StoreError):
            await store.exchange(Ledger({"one": run(1, requests=1)}))
        redis.go_on()
        answer = await store.exchange(Ledger({"one": run(2, requests=2)}))
        await store.close()
        return answer

    assert within_one_loop(asking()).runs["one"].totals == {"requests": 2}


def test_a_cluster(tmp_path: Path) -> None:
    """Its nodes send a client that asks the wrong one to the right one."""
    with redis_cluster(tmp_path) as nodes:
        put = Ledger({"one": run(requests=3)}, Past(1, 1, {"requests": 2}))
        fold = Fold(Past(2, 2, {"requests": 5}), 1, {"one": 1})
        assert [ask(node.url, put) for node in nodes] == [[put], [put]]
        assert [ask(f"{node.url}?cluster=true", put) for node in nodes] == [[put], [put]]
        assert ask(nodes[0].url, fold=fold) == [True]
        assert ask(nodes[1].url, Ledger()) == [Ledger(past=fold.past)]
