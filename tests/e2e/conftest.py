"""Origins and proxies that several tests share; each is started when it is first needed."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import servers
from tests.e2e.certificates import Authority
from tests.e2e.content import write_files, write_huge
from tests.e2e.fault_origin import FaultOrigin
from tests.e2e.routes import tells
from tests.e2e.scripted import ScriptedOrigin
from tests.e2e.servers import Proxy, StartProxy
from tests.e2e.slow_reader import SlowReader
from tests.e2e.tunnels import FarEnd, far_end


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that waits for the slow reader last: the reader runs beside all others."""
    items.sort(key=waits_for_slow_reader)


def waits_for_slow_reader(item: pytest.Item) -> bool:
    """Whether a test looks at what the slow reader saw."""
    return "slow_reader" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def start_slow_reader(request: pytest.FixtureRequest) -> None:
    """Start the slow reader with the first test of this directory, if a test waits for it."""
    if any(map(waits_for_slow_reader, request.session.items)):
        request.getfixturevalue("slow_reader")


@pytest.fixture(scope="session")
def slow_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowReader]:
    """A client that reads a film of 8 GiB at 1 MB/s through a proxy of its own."""
    root = tmp_path_factory.mktemp("huge")
    write_huge(root / "huge.bin")
    with (
        servers.nginx(root, tmp_path_factory.mktemp("nginx")) as url,
        Proxy(tmp_path_factory.mktemp("proxy"), "--upstream", url) as started,
        SlowReader(started, "/huge.bin") as reader,
    ):
        yield reader


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that all real origins serve."""
    root = tmp_path_factory.mktemp("files")
    write_files(root)
    return root


@pytest.fixture(scope="session")
def nginx(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an nginx that serves `files`."""
    with servers.nginx(files, tmp_path_factory.mktemp("nginx")) as url:
        yield url


@pytest.fixture(scope="session")
def http_server(files: Path) -> Iterator[str]:
    """The URL of Python's http.server, which serves `files` without ranges."""
    with servers.http_server(files) as url:
        yield url


@pytest.fixture(scope="session")
def proxy(nginx: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy before nginx."""
    with Proxy(tmp_path_factory.mktemp("proxy"), "--upstream", nginx) as started:
        yield started


@pytest.fixture(scope="session", params=["nginx", "http.server", "embedded", "cached"])
def any_proxy(
    request: pytest.FixtureRequest, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """Proxies before origins of each kind, and one with a cache, one after the other."""
    if request.param == "nginx":
        yield request.getfixturevalue("proxy")
        return
    directory = tmp_path_factory.mktemp("proxy")
    flags = ["--upstream", "embedded", "--media-dir", str(files)]
    if request.param == "http.server":
        flags = ["--upstream", request.getfixturevalue("http_server")]
    if request.param == "cached":
        flags = ["--upstream", request.getfixturevalue("nginx")]
    with Proxy(directory, *flags, cache=request.param == "cached") as started:
        yield started


@pytest.fixture(scope="session")
def shared_origin() -> Iterator[ScriptedOrigin]:
    """The origin behind `scripted_proxy`; tests take `origin`."""
    origin = ScriptedOrigin()
    yield origin
    origin.close()


@pytest.fixture
def origin(shared_origin: ScriptedOrigin) -> Iterator[ScriptedOrigin]:
    """An origin that plays scripts; a script that fails makes the test fail."""
    yield shared_origin
    shared_origin.check()


@pytest.fixture(scope="session")
def scripted_proxy(
    shared_origin: ScriptedOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy before the scripted origin, with settings as they come."""
    with Proxy(tmp_path_factory.mktemp("proxy"), "--upstream", shared_origin.url) as started:
        yield started


@pytest.fixture
def start_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    """Start a proxy with flags and APRP_ variables of its own; it is stopped after the test."""
    with servers.starting(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    """As `start_proxy`, for all tests of a module: what it starts is stopped after the last."""
    with servers.starting(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signs all certificates."""
    return Authority.make(tmp_path_factory.mktemp("authority"))


Ends = list[FarEnd]


@pytest.fixture(scope="module")
def ends() -> Iterator[Ends]:
    """One for each test: the proxies that tests share have to be told the ports at the start."""
    with ExitStack() as stack:
        yield [stack.enter_context(far_end()) for _ in range(40)]


@pytest.fixture(scope="module")
def ports(ends: Ends) -> list[int]:
    """The ports of all `ends`, also of those that tests have taken."""
    return [end.port for end in ends]


@pytest.fixture
def end(ports: list[int], ends: Ends) -> Iterator[FarEnd]:
    """What a tunnel leads to; no other test of the module has this port."""
    taken = ends.pop()
    yield taken
    taken.close()


@pytest.fixture(scope="session")
def shared_fault_origin() -> Iterator[FaultOrigin]:
    """The origin behind `cached_proxy`; tests take `source`."""
    origin = FaultOrigin()
    yield origin
    origin.go_away()


@pytest.fixture
def source(shared_fault_origin: FaultOrigin) -> Iterator[FaultOrigin]:
    """An origin of large files and planned faults; one of its own makes the test fail."""
    yield shared_fault_origin
    shared_fault_origin.check()


@pytest.fixture(scope="session")
def cached_proxy(
    shared_fault_origin: FaultOrigin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy with a cache before `source`; it reads nothing ahead: bytes can be counted."""
    directory = tmp_path_factory.mktemp("proxy")
    flags = ("--upstream", shared_fault_origin.url, "--read-ahead", "0")
    with Proxy(directory, *flags, cache=True) as started:
        yield started


@pytest.fixture(scope="session")
def shared_sites() -> Iterator[dict[str, ScriptedOrigin]]:
    """The origins that tests take as `sites`."""
    names = ("default", "media", "deep", "img")
    started = {name: ScriptedOrigin(otherwise=tells(name)) for name in names}
    yield started
    for origin in started.values():
        origin.close()


@pytest.fixture
def sites(shared_sites: dict[str, ScriptedOrigin]) -> Iterator[dict[str, ScriptedOrigin]]:
    """Origins by their names; `default` is the upstream."""
    yield shared_sites
    for origin in shared_sites.values():
        origin.check()
