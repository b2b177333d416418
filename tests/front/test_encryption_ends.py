"""TLS as a transport: the end of each direction, and clients that leave or break off."""

import asyncio
import socket
import ssl

import pytest

from tests.front.tls_trials import DATA, VERSIONS, Receiver, connection
from tests.loops import both_loops, turns


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
        assert t.receiver.ended == 0
        for _ in range(5):
            # Again in the middle: the end is told once, and behind all.
            t.receiver.pause_at = len(t.receiver.data) + 1
            t.transport.resume_reading()
            await t.receiver.has(t.receiver.pause_at)
            await turns(5)
        assert t.receiver.ended == 0
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
