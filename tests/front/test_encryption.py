"""TLS as a transport: handshakes, every byte once, pauses."""

import asyncio
import contextlib
import random
import ssl

import pytest

from aprp.front.encryption import ClientLeft, HandshakeFailed, PlainHTTP
from tests.front.encrypted import Encrypted
from tests.front.tls_trials import DATA, VERSIONS, Receiver, Trial, connection
from tests.loops import both_loops, turns


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
@both_loops
async def test_a_record_that_is_not_authentic(version: ssl.TLSVersion) -> None:
    async with connection(version=version) as t:
        await t.secured()
        good, bad = t.client.encrypted(b"good"), bytearray(t.client.encrypted(b"evil"))
        bad[-1] ^= 1
        await asyncio.get_running_loop().sock_sendall(t.client.socket, good + bad)
        await t.receiver.hears("lost")
        # Decrypting goes before giving: with the bad one, the good one of the same read is lost.
        assert bytes(t.receiver.data) in (b"", b"good")
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
