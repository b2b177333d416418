"""TLS as a transport: every byte once, pauses, ends of each direction, broken clients."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator
from typing import cast

import pytest

from aprp.front.encryption import ClientLeft, HandshakeFailed, PlainHTTP, TlsTransport
from tests.front.encrypted import Encrypted
from tests.loops import both_loops, turns
from tests.peers import client_tls, server_tls

DATA = random.Random(3).randbytes(1 << 20)
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


class Receiver(asyncio.BufferedProtocol):
    """Keeps what comes; `room` bytes are lent at once."""

    def __init__(self, room: int = 65536, keep_open: bool = False) -> None:
        self.data = bytearray()
        self.changed = asyncio.Event()
        self.ended = 0
        self.lost: list[Exception | None] = []
        self.pauses = 0
        self.writable = asyncio.Event()
        self.writable.set()
        self.keep_open = keep_open
        self.transport: TlsTransport
        self.pause_at = -1
        self._room = memoryview(bytearray(room))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        assert not self.ended and not self.lost and 0 < nbytes <= len(self._room)
        self.data += self._room[:nbytes]
        self._room[:] = bytes(len(self._room))
        if self.pause_at >= 0 and len(self.data) >= self.pause_at:
            self.pause_at = -1
            self.transport.pause_reading()
        self.changed.set()

    def eof_received(self) -> bool:
        self.ended += 1
        self.changed.set()
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self.changed.set()

    def pause_writing(self) -> None:
        self.pauses += 1
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    async def has(self, size: int) -> bytes:
        """Wait for so many bytes."""
        while len(self.data) < size:
            self.changed.clear()
            await self.changed.wait()
        return bytes(self.data)

    async def hears(self, what: str) -> None:
        """Wait for the end (`ended`) or the loss (`lost`) of the connection."""
        while not getattr(self, what):
            self.changed.clear()
            await self.changed.wait()


class Trial:
    """A connection: the server's transport and its receiver, and the client."""

    def __init__(self, receiver: Receiver, client: socket.socket, context: ssl.SSLContext) -> None:
        self.receiver = receiver
        self.client = Encrypted(client, context)
        self.transport: TlsTransport
        self.shaken: asyncio.Future[HandshakeFailed | None] = (
            asyncio.get_running_loop().create_future()
        )

    def done(self, failure: HandshakeFailed | None) -> None:
        if failure is None:
            self.receiver.transport = self.transport
            self.transport.set_protocol(self.receiver)
        self.shaken.set_result(failure)

    async def secured(self) -> None:
        await self.client.handshake()
        assert await self.shaken is None


class Below(asyncio.BufferedProtocol):
    """Gives a connection to TLS when it is made."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tcp, scratch = cast(asyncio.Transport, transport), memoryview(bytearray(4096))
        self._trial.transport = TlsTransport(tcp, server_tls(), scratch, self._trial.done)
        self._trial.transport.shake_hands()


@contextlib.asynccontextmanager
async def connection(
    receiver: Receiver | None = None, version: ssl.TLSVersion | None = None
) -> AsyncIterator[Trial]:
    loop = asyncio.get_running_loop()
    context = client_tls()
    if version is not None:
        context.minimum_version = context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(listening.getsockname())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        trial = Trial(receiver or Receiver(), sock, context)
        await loop.connect_accepted_socket(lambda: Below(trial), accepted)
        try:
            yield trial
        finally:
            trial.transport.abort()
            if trial.shaken.done() and trial.shaken.result() is None:
                await trial.receiver.hears("lost")
                assert len(trial.receiver.lost) == 1
                assert trial.receiver.ended <= 1
            await turns(3)


@VERSIONS
@pytest.mark.parametrize("room", [1, 100, 65536, 1 << 20])
@both_loops
async def test_what_the_client_sends(version: ssl.TLSVersion, room: int) -> None:
    async with connection(Receiver(room), version) as t:
        await t.secured()
        size = 50_000 if room == 1 else len(DATA)
        await t.client.send(DATA[:size])
        assert await t.receiver.has(size) == DATA[:size]


async def dribble(trial: Trial, data: bytes) -> None:
    """Send byte by byte."""
    for byte in data:
        await asyncio.get_running_loop().sock_sendall(trial.client.socket, bytes((byte,)))
        await turns(2)


@VERSIONS
@both_loops
async def test_byte_by_byte(version: ssl.TLSVersion) -> None:
    async with connection(version=version) as t:
        shaken = False
        while not shaken:
            with contextlib.suppress(ssl.SSLWantReadError):
                t.client.tls.do_handshake()
                shaken = True
            await dribble(t, t.client.records())
            if not shaken:
                await t.client.take()
        assert await t.shaken is None
        await dribble(t, t.client.encrypted(b"hello"))
        assert await t.receiver.has(5) == b"hello"


@both_loops
async def test_a_request_right_behind_the_handshake() -> None:
    # In one segment with the client's last words of it.
    async with connection(version=ssl.TLSVersion.TLSv1_3) as t:
        loop = asyncio.get_running_loop()
        with pytest.raises(ssl.SSLWantReadError):
            t.client.tls.do_handshake()
        await t.client.flush()
        while True:
            await t.client.take()
            with contextlib.suppress(ssl.SSLWantReadError):
                t.client.tls.do_handshake()
                break
        finished = t.client.records()
        await loop.sock_sendall(t.client.socket, finished + t.client.encrypted(DATA[:9000]))
        assert await t.receiver.has(9000) == DATA[:9000]
        assert await t.shaken is None


@VERSIONS
@both_loops
async def test_what_the_server_writes(version: ssl.TLSVersion) -> None:
    async with connection(version=version) as t:
        await t.secured()
        reading = asyncio.create_task(t.client.read(len(DATA)))
        dice = random.Random(1)
        place = 0
        while place < len(DATA):
            size = dice.choice((0, 1, 1000, 200_000))
            t.transport.write(memoryview(DATA)[place : place + size])
            place += size
            await t.receiver.writable.wait()
        assert await reading == DATA
        assert t.receiver.pauses > 1
        assert t.transport.get_write_buffer_size() == 0


@both_loops
async def test_both_directions_at_once() -> None:
    async with connection(Receiver(1000)) as t:
        await t.secured()
        reading = asyncio.create_task(t.client.read(len(DATA)))
        sending = asyncio.create_task(t.client.send(DATA))
        for place in range(0, len(DATA), 4096):
            t.transport.write(DATA[place : place + 4096])
            await t.receiver.writable.wait()
        assert await reading == DATA
        assert await t.receiver.has(len(DATA)) == DATA
        await sending


@both_loops
async def test_nothing_is_taken_while_it_is_paused() -> None:
    async with connection() as t:
        await t.secured()
        t.transport.pause_reading()
        assert not t.transport.is_reading()
        sending = asyncio.create_task(t.client.send(DATA * 16))
        await turns(200)
        assert t.receiver.data == b""
        # The client feels it: its socket is full.
        assert not sending.done()
        t.transport.resume_reading()
        assert t.transport.is_reading()
        assert await t.receiver.has(16 * len(DATA)) == DATA * 16
        await sending


@pytest.mark.parametrize("room", [10, 16384])
@both_loops
async def test_pause_in_the_middle_of_what_has_come(room: int) -> None:
    async with connection(Receiver(room)) as t:
        await t.secured()
        t.receiver.pause_at = 30
        await t.client.send(DATA[:100_000])
        await t.receiver.has(30)
        await turns(20)
        assert len(t.receiver.data) < 30 + room
        t.transport.resume_reading()
        assert await t.receiver.has(100_000) == DATA[:100_000]


@both_loops
async def test_another_protocol_gets_the_rest() -> None:
    async with connection(Receiver(10)) as t:
        await t.secured()
        t.receiver.pause_at = 20
        await t.client.send(DATA[:1000])
        await t.receiver.has(20)
        first, t.receiver = t.receiver, Receiver()
        t.transport.set_protocol(t.receiver)
        assert t.transport.get_protocol() is t.receiver
        t.transport.resume_reading()
        assert bytes(first.data) + await t.receiver.has(980) == DATA[:1000]


@VERSIONS
@pytest.mark.parametrize("goodbye", [True, False])
@both_loops
async def test_a_client_that_leaves(version: ssl.TLSVersion, goodbye: bool) -> None:
    async with connection(version=version) as t:
        await t.secured()
        await t.client.send(DATA[:5000])
        if goodbye:
            t.client.say_goodbye()
            await t.client.flush()
        t.client.socket.shutdown(socket.SHUT_WR)
        await t.receiver.hears("lost")
        assert t.receiver.ended == 1
        assert t.receiver.data == DATA[:5000]


@both_loops
async def test_an_end_behind_what_is_not_taken_yet() -> None:
    async with connection(Receiver(100)) as t:
        await t.secured()
        t.receiver.pause_at = 1
        await t.client.send(DATA[:4000])
        t.client.socket.shutdown(socket.SHUT_WR)
        await t.receiver.has(1)
        await turns(20)
        assert not t.receiver.ended
        for _ in range(5):
            # Again in the middle: the end is told once, and behind all.
            t.receiver.pause_at = len(t.receiver.data) + 1
            t.transport.resume_reading()
            await t.receiver.has(t.receiver.pause_at)
            await turns(5)
        assert not t.receiver.ended
        t.transport.resume_reading()
        await t.receiver.hears("lost")
        assert t.receiver.data == DATA[:4000]
        assert t.receiver.ended == 1


@pytest.mark.parametrize("goodbye", [True, False])
@both_loops
async def test_a_client_that_has_said_all_may_be_answered(goodbye: bool) -> None:
    async with connection(Receiver(keep_open=True)) as t:
        await t.secured()
        await t.client.send(b"question")
        if goodbye:
            records = t.client.say_goodbye()
            junk = records + b"junk" * 1000
            await asyncio.get_running_loop().sock_sendall(t.client.socket, junk)
        else:
            t.client.socket.shutdown(socket.SHUT_WR)
        await t.receiver.hears("ended")
        await turns(5)
        assert t.receiver.data == b"question"
        assert not t.transport.is_closing()
        t.transport.write(DATA)
        t.transport.close()
        assert await t.client.read(len(DATA)) == DATA


@VERSIONS
@both_loops
async def test_the_end_of_what_the_server_says(version: ssl.TLSVersion) -> None:
    async with connection(version=version) as t:
        await t.secured()
        assert t.transport.can_write_eof()
        t.transport.write(DATA)
        t.transport.write_eof()
        t.transport.write_eof()
        assert await t.client.read(len(DATA) + 1) == DATA
        assert t.client.told_goodbye
        assert not await t.client.take()
        if version is ssl.TLSVersion.TLSv1_3:
            # The other direction goes on (RFC 8446 section 6.1).
            await t.client.send(DATA)
            assert await t.receiver.has(len(DATA)) == DATA


@pytest.mark.parametrize("unread", [True, False])
@both_loops
async def test_the_end_while_bytes_of_the_client_wait(unread: bool) -> None:
    async with connection(version=ssl.TLSVersion.TLSv1_3) as t:
        await t.secured()
        if unread:
            t.transport.pause_reading()
            await t.client.send(DATA[:1000])
        t.transport.write_eof()
        assert await t.client.read(1) == b""
        assert t.client.told_goodbye
        if unread:
            t.transport.resume_reading()
        else:
            await t.client.send(DATA[:1000])
        assert await t.receiver.has(1000) == DATA[:1000]


@pytest.mark.parametrize("how", ["close", "abort"])
@both_loops
async def test_only_a_close_says_goodbye(how: str) -> None:
    # RFC 9112 section 9.8: what was cut off has to look like it.
    async with connection() as t:
        await t.secured()
        t.transport.write(b"bye")
        getattr(t.transport, how)()
        assert t.transport.is_closing()
        getattr(t.transport, how)()
        assert await t.client.read(4) == b"bye"
        assert t.client.told_goodbye == (how == "close")
        await t.receiver.hears("lost")
        t.transport.write(b"to nobody")


@both_loops
async def test_close_with_bytes_queued() -> None:
    async with connection() as t:
        await t.secured()
        t.transport.write(DATA)
        t.transport.close()
        assert t.transport.get_write_buffer_size() > 0
        assert await t.client.read(len(DATA) + 1) == DATA
        assert t.client.told_goodbye


@VERSIONS
@both_loops
async def test_a_record_that_is_not_authentic(version: ssl.TLSVersion) -> None:
    async with connection(version=version) as t:
        await t.secured()
        good, bad = t.client.encrypted(b"good"), bytearray(t.client.encrypted(b"evil"))
        bad[-1] ^= 1
        await asyncio.get_running_loop().sock_sendall(t.client.socket, good + bad)
        await t.receiver.hears("lost")
        # Decrypting goes before giving: with the bad one, the good one of the same read is lost.
        assert t.receiver.data in (b"", b"good")
        with pytest.raises(ssl.SSLError, match="ALERT"):
            await t.client.read(1)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", PlainHTTP),
        (b"\0" * 100, HandshakeFailed),
        (b"SSH-2.0-OpenSSH_9.2\r\n", HandshakeFailed),
        (b"", ClientLeft),
        (b"\x16\x03\x01", ClientLeft),
    ],
)
@both_loops
async def test_no_handshake(sent: bytes, kind: type[HandshakeFailed]) -> None:
    async with connection() as t:
        await asyncio.get_running_loop().sock_sendall(t.client.socket, sent)
        if kind is ClientLeft:
            t.client.socket.close()
        assert type(await t.shaken) is kind


@both_loops
async def test_a_client_that_does_not_believe_the_certificate() -> None:
    async with connection() as t:
        t.client = Encrypted(t.client.socket, ssl.create_default_context())
        with pytest.raises(ssl.SSLCertVerificationError):
            await t.client.handshake()
        await t.client.flush()
        failure = await t.shaken
        assert "unknown ca" in str(failure)


@both_loops
async def test_what_is_known_of_it() -> None:
    async with connection(version=ssl.TLSVersion.TLSv1_3) as t:
        await t.secured()
        info = t.transport.get_extra_info
        assert info("ssl_object").version() == "TLSv1.3"
        assert info("cipher")[1] == "TLSv1.3"
        assert isinstance(info("sslcontext"), ssl.SSLContext)
        assert info("peername") == t.client.socket.getsockname()
        assert info("nonsense", 5) == 5
