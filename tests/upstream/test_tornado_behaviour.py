"""The client passes the tests that Tornado's own SimpleAsyncHTTPClient passes.

Tornado ships its tests; they are run here with the project's client in the place of Tornado's.
"""

import logging
from typing import Any

import pytest
import tornado.test.httpclient_test as common
import tornado.test.simple_httpclient_test as simple
from tornado.httpclient import AsyncHTTPClient

from aprp.upstream.client import OriginClient

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("origin_client_everywhere"),
]


@pytest.fixture
def origin_client_everywhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every client that the tests make is ours, the default one too."""
    # As Tornado's own runner does: its servers' access lines are no unexpected log lines.
    monkeypatch.setattr(logging.getLogger("tornado.access"), "disabled", True)
    monkeypatch.setattr(simple, "SimpleAsyncHTTPClient", OriginClient)
    saved = AsyncHTTPClient._save_configuration()
    AsyncHTTPClient.configure(OriginClient)
    yield
    AsyncHTTPClient._restore_configuration(saved)


class TestCommon(common.HTTPClientCommonTestCase):
    def get_http_client(self) -> AsyncHTTPClient:
        client = OriginClient(force_instance=True)
        assert isinstance(client, OriginClient)
        return client


class _OwnClient:
    def create_client(self, **kwargs: Any) -> AsyncHTTPClient:
        return OriginClient(force_instance=True, **kwargs)


class TestSimple(_OwnClient, simple.SimpleHTTPClientTestCase):
    pass


class TestSimpleTLS(simple.SimpleHTTPSClientTestCase):
    def create_client(self, **kwargs: Any) -> AsyncHTTPClient:
        return OriginClient(force_instance=True, defaults={"validate_cert": False}, **kwargs)


class TestCreate(simple.CreateAsyncHTTPClientTestCase):
    pass


class TestContinue(simple.HTTP100ContinueTestCase):
    pass


class TestInterimLimit(simple.HTTP1xxLimitTestCase):
    pass


class TestGzip(simple.GzipResponseTestCase):
    pass


class TestNoContent(simple.HTTP204NoContentTestCase):
    pass


class TestHostnameMapping(simple.HostnameMappingTestCase):
    pass


class TestResolveTimeout(simple.ResolveTimeoutTestCase):
    pass


class TestHandshakeTimeout(simple.TLSHandshakeTimeoutTestCase):
    pass


class TestMaxHeader(simple.MaxHeaderSizeTest):
    pass


class TestMaxBody(simple.SimpleHTTPClientMaxBodySizeTestCase):
    pass


class TestMaxBodyUntilClose(simple.MaxBodySizeUntilCloseTest):
    pass


class TestMaxBufferUntilClose(simple.MaxBufferSizeUntilCloseTest):
    pass


class TestMaxBuffer(simple.MaxBufferSizeTest):
    pass


class TestChunkedWithLength(simple.ChunkedWithContentLengthTest):
    pass
