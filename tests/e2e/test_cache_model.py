"""The cache against a model: whatever happens, an answer is bytes of exactly one version.

Hypothesis makes up sequences of reads, seeks, clients that leave, changes and failures at the
origin, pressure on a tiny cache, purges, stops and kills. The model is the list of versions that a
file has had.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.e2e.caching import disk_use
from tests.e2e.clients import Connection, Reply
from tests.e2e.fault_files import File, Plan
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.programs import wait_until
from tests.e2e.servers import Proxy

SMALL = 65536
"""The smallest slice, which makes files of many slices small."""
EXTENT = 64 * SMALL
CACHE = 4 << 20
"""The size of the cache: a few of the files."""

FLAGS = (
    *("--slice-size", str(SMALL), "--cache-size", str(CACHE), "--read-ahead", str(2 * SMALL)),
    *("--retries", "2", "--retry-backoff", "1ms", "--idle-timeout", "200ms"),
    *("--origin-retry-after", "0", "--stale-if-error", "0"),
)

PLANS = st.one_of(
    st.builds(Plan, cut=st.integers(0, 300_000)),
    st.builds(Plan, reset=st.integers(0, 300_000)),
    st.builds(Plan, stall=st.integers(0, 300_000)),
    st.builds(Plan, cut=st.integers(0, 300_000), change=st.just(True)),
    st.builds(Plan, change=st.just(True)),
    st.sampled_from([Plan(status="503 Busy"), Plan(status="404 Gone"), Plan(hang_up=True)]),
    # A place before the one asked for may hold it, with more than was asked for before it.
    st.builds(Plan, moved=st.sampled_from([1, SMALL])),
    st.just(Plan(ignores_range=True)),
    st.just(Plan(total="*")),
)


class Program:
    """The proxy that all examples share; it is started anew where one stops it."""

    def __init__(self, directory: Path, origin: FaultOrigin) -> None:
        self.directory = directory
        self.origin = origin
        self.proxy = self.start(1)

    def start(self, workers: int) -> Proxy:
        """Start it on the cache that the one before has left."""
        flags = ("--upstream", self.origin.url, "--workers", str(workers), *FLAGS)
        started = Proxy(self.directory, *flags, cache=self.directory / "cache")
        self.proxy = started.wait_started()
        return started

    def end(self, kill: bool) -> None:
        """Stop it, or kill it with all its workers."""
        if kill:
            for pid in (*self.proxy.workers(), self.proxy.pid):
                os.kill(pid, signal.SIGKILL)
            self.proxy.wait()
        assert self.proxy.stop() == (-signal.SIGKILL if kill else 0)
        self.proxy.check_faultless()


@dataclass(slots=True)
class Reading:
    """An answer that is being read: of a version, from `place` to `stop`."""

    connection: Connection
    file: File
    version: int
    place: int
    stop: int
    may_break: bool


@dataclass(slots=True)
class Model:
    """What is known of a file beside what the origin holds: the newest version seen."""

    file: File
    checked: bool
    """Whether each answer has to be the origin's present version."""
    troubled: bool = False
    """Whether a fault is planned, so that answers may fail or end early."""
    newest: int = field(default=1)


class Cache(RuleBasedStateMachine):
    """Steps and what must hold after each."""

    program: ClassVar[Program]
    models = Bundle("models")
    readings = Bundle("readings")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Reading] = []

    @initialize(target=models, size=st.integers(0, 500_000), checked=st.booleans())
    def first(self, size: int, checked: bool) -> Model:
        return self.add(size, checked)

    @rule(
        target=models,
        size=st.one_of(st.integers(0, 500_000), st.sampled_from([0, 1, SMALL, 2 * SMALL])),
        checked=st.booleans(),
        ranges=st.booleans(),
        etag=st.sampled_from(["strong", "weak", "none"]),
    )
    def adds(self, size: int, checked: bool, ranges: bool, etag: str) -> Model:
        model = self.add(size, checked)
        model.file.ranges = ranges
        model.file.etag = etag  # type: ignore[assignment]
        return model

    def add(self, size: int, checked: bool) -> Model:
        file = self.program.origin.add(size)
        file.fields = ("Cache-Control: no-cache" if checked else "Cache-Control: max-age=3600",)
        return Model(file, checked)

    # Reading.

    @rule(model=models, start=st.integers(0, 500_000), length=st.integers(1, 300_000))
    def reads_a_range(self, model: Model, start: int, length: int) -> None:
        self.read(model, f"bytes={start}-{start + length - 1}", start, start + length)

    @rule(model=models, start=st.integers(0, 500_000))
    def reads_on(self, model: Model, start: int) -> None:
        self.read(model, f"bytes={start}-", start, model.file.size)

    @rule(model=models, length=st.integers(1, 100_000))
    def reads_the_end(self, model: Model, length: int) -> None:
        size = model.file.size
        self.read(model, f"bytes=-{length}", max(size - length, 0), size)

    @rule(model=models)
    def reads_all(self, model: Model) -> None:
        self.read(model, None, 0, model.file.size)

    @rule(model=models)
    def asks_for_the_head(self, model: Model) -> None:
        lowest = model.file.version if model.checked else 1
        reply = self.program.proxy.head(model.file.path)
        if reply.status == 200:
            assert reply.get("Content-Length") == str(model.file.size)
            self.version_of(reply, model, lowest)
        else:
            assert model.troubled and reply.status in (404, 502, 503, 504)

    @rule(target=readings, model=models, start=st.integers(0, 400_000))
    def begins_to_read(self, model: Model, start: int) -> Reading | None:
        start = min(start, max(model.file.size - 1, 0))
        return self.begin(model, f"bytes={start}-", start, model.file.size)

    @rule(reading=readings, size=st.integers(1, 200_000))
    def goes_on_reading(self, reading: Reading | None, size: int) -> None:
        if reading is not None and reading in self.open:
            self.take(reading, min(size, reading.stop - reading.place))

    @rule(reading=consumes(readings))
    def leaves(self, reading: Reading | None) -> None:
        if reading is not None and reading in self.open:
            self.open.remove(reading)
            reading.connection.close()

    def read(self, model: Model, asked: str | None, start: int, stop: int) -> None:
        reading = self.begin(model, asked, start, stop)
        if reading is not None:
            self.take(reading, reading.stop - reading.place)
            if reading in self.open:
                self.open.remove(reading)
            reading.connection.close()

    def begin(self, model: Model, asked: str | None, start: int, stop: int) -> Reading | None:
        """Ask, check the head, and keep the answer to be read; None where there is no body."""
        file = model.file
        stop = min(stop, file.size)
        lowest = file.version if model.checked else 1
        connection = Connection(self.program.proxy.port)
        connection.ask(file.path, *([f"Range: {asked}"] if asked is not None else []))
        reply = connection.read_head()
        if reply.status == 416:
            assert asked is not None and start >= stop
        elif reply.status not in (200, 206):
            assert model.troubled and reply.status in (404, 502, 503, 504), reply
        elif asked is None or reply.status == 200:
            # A range is ignored where the length of the file, or its coding, is not known.
            assert reply.status == 200, reply
            assert asked is None or file.size == 0 or model.troubled, reply
            return self.keep(connection, model, reply, 0, file.size, lowest)
        else:
            places = [f"bytes {start}-{stop - 1}/{total}" for total in (file.size, "*")]
            assert reply.get("Content-Range") in places, reply
            return self.keep(connection, model, reply, start, stop, lowest)
        connection.close()
        return None

    def keep(
        self, connection: Connection, model: Model, reply: Reply, start: int, stop: int, lowest: int
    ) -> Reading:
        length = reply.get("Content-Length")
        assert length == str(stop - start) or (length is None and model.troubled), reply
        version = self.version_of(reply, model, lowest)
        reading = Reading(connection, model.file, version, start, stop, model.troubled)
        self.open.append(reading)
        return reading

    def version_of(self, reply: Reply, model: Model, lowest: int) -> int:
        """The version that an answer is of, by its validators or by the model."""
        file = model.file
        dates = {file.date_of(version): version for version in range(1, file.version + 1)}
        version = dates[str(reply.get("Last-Modified"))]
        assert reply.get("ETag") == file.tag_of(version)
        assert version >= max(lowest, model.newest), "an older version than was seen before"
        model.newest = version
        return version

    def take(self, reading: Reading, size: int) -> None:
        """Read so many bytes of an answer; fewer only where something was wrong."""
        if size == 0:
            return
        body = reading.connection.read(size)
        assert reading.file.body(reading.version).matches(reading.place, body), "not its version"
        reading.place += len(body)
        if len(body) < size:
            assert reading.may_break or reading.file.version != reading.version, reading
            self.open.remove(reading)
            reading.connection.close()

    # What happens at the origin and to the proxy.

    @rule(model=models)
    def changes(self, model: Model) -> None:
        model.file.version += 1

    @rule(model=models, plans=st.lists(PLANS, min_size=1, max_size=3))
    def fails(self, model: Model, plans: list[Plan]) -> None:
        model.file.plans.extend(plans)
        model.troubled = True
        for reading in self.open:
            if reading.file is model.file:
                reading.may_break = True

    @rule(model=models)
    def is_well_again(self, model: Model) -> None:
        model.file.plans.clear()
        model.troubled = False

    @rule(count=st.integers(1, 8))
    def is_pressed(self, count: int) -> None:
        for _ in range(count):
            file = self.program.origin.add(700_001)
            reply = self.program.proxy.get(file.path)
            assert file.body().matches(0, reply.body) and len(reply.body) == file.size

    @rule(model=models)
    def purges(self, model: Model) -> None:
        with Connection(self.program.proxy.port) as connection:
            connection.ask(model.file.path, method="PURGE")
            assert connection.read_reply().status in (200, 204, 404)
        for reading in self.open:
            if reading.file is model.file:
                reading.may_break = True

    @rule(kill=st.booleans(), workers=st.integers(1, 2))
    def restarts(self, kill: bool, workers: int) -> None:
        for reading in self.open:
            reading.connection.close()
        self.open.clear()
        self.program.end(kill)
        self.program.start(workers)

    @invariant()
    def keeps_its_size(self) -> None:
        assert disk_use(self.program.proxy.cache_dir) <= CACHE + 2 * EXTENT + (4 << 20)

    def teardown(self) -> None:
        for reading in self.open:
            reading.connection.close()
        self.program.origin.check()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The proxy and its origin."""
    origin = FaultOrigin()
    started = Program(tmp_path, origin)
    yield started
    started.end(kill=False)
    origin.go_away()


def test_the_cache_against_its_model(program: Program) -> None:
    Cache.program = program
    deep = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
    run_state_machine_as_test(
        Cache,
        settings=settings(
            max_examples=100 if deep else 12,
            stateful_step_count=60 if deep else 30,
            # To make a failing sequence shorter takes minutes.
            phases=tuple(Phase) if deep else (Phase.reuse, Phase.generate),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    wait_until(lambda: program.proxy.stats()["transfers"]["active"] == 0, "nothing is left")
