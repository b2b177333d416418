"""Header fields: the list type, what goes on to the next hop, Via."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPServerRequest, ResponseStartLine
from tornado.tcpclient import TCPClient
from tornado.testing import AsyncHTTPTestCase, gen_test

from aprp.semantics.headers import HOP_BY_HOP, Fields, Pair, add_via, end_to_end, head_bytes

SOME = [
    ("Server", "origin/1"),
    ("Set-Cookie", "a=1"),
    ("content-LENGTH", "5"),
    ("set-cookie", "b=2"),
    ("ETag", '"x"'),
]


def test_order_case_and_repeats_are_kept() -> None:
    assert Fields(SOME).get_all() == SOME
    assert Fields(iter(SOME)).get_all() == SOME
    assert len(Fields(SOME)) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Length", "5"),
        ("content-length", "5"),
        ("ETAG", '"x"'),
        ("Set-Cookie", "a=1, b=2"),
        ("Missing", None),
    ],
)
def test_names_compare_without_case(name: str, value: str | None) -> None:
    fields = Fields(SOME)
    assert fields.get(name) == value
    assert (name in fields) is (value is not None)
    if value is None:
        assert fields.get(name, "default") == "default"
        assert fields.getlist(name) == []
        with pytest.raises(KeyError):
            fields[name]
    else:
        assert fields[name] == fields.get(name, "default") == value
        assert ", ".join(fields.getlist(name)) == value


def test_setting_replaces_in_place() -> None:
    fields = Fields(SOME)
    fields["etag"] = '"y"'
    fields["SET-COOKIE"] = "c=3"
    fields["Via"] = "1.1 x"
    assert fields.get_all() == [
        ("Server", "origin/1"),
        ("SET-COOKIE", "c=3"),
        ("content-LENGTH", "5"),
        ("etag", '"y"'),
        ("Via", "1.1 x"),
    ]


def test_adding_and_removing() -> None:
    fields = Fields(SOME)
    fields.add("VIA", "1.1 x")
    fields.add("Via", "1.1 y")
    fields.remove("set-cookie")
    fields.remove("Missing")
    assert fields.get_all() == [
        ("Server", "origin/1"),
        ("content-LENGTH", "5"),
        ("ETag", '"x"'),
        ("VIA", "1.1 x"),
        ("Via", "1.1 y"),
    ]
    assert fields.getlist("via") == ["1.1 x", "1.1 y"]


def test_a_copy_changes_on_its_own() -> None:
    fields = Fields(SOME)
    twin = fields.copy()
    assert twin == fields
    twin.add("Via", "1.1 x")
    twin["Server"] = "other"
    twin.remove("ETag")
    assert fields.get_all() == SOME
    assert twin != fields
    pairs = fields.get_all()
    pairs.clear()
    assert fields.get_all() == SOME


def test_comparison_and_repr() -> None:
    assert Fields([("A", "1")]) == Fields([("a", "1")])
    assert Fields([("A", "1")]) != Fields([("A", "2")])
    assert Fields([("A", "1"), ("B", "2")]) != Fields([("B", "2"), ("A", "1")])
    assert Fields([("A", "1")]) != [("A", "1")]
    assert repr(Fields([("A", "1")])) == "Fields([('A', '1')])"


names = st.sampled_from(["Via", "via", "Age", "AGE", "ETag"])
steps = st.lists(st.tuples(st.sampled_from(["add", "set", "remove"]), names, st.text("ab")))


@given(st.lists(st.tuples(names, st.text("ab"))), steps)
def test_fields_do_what_a_plain_list_does(
    pairs: list[Pair], steps: list[tuple[str, str, str]]
) -> None:
    fields, model = Fields(pairs), list(pairs)
    for step, name, value in steps:
        places = [i for i, (other, _) in enumerate(model) if other.lower() == name.lower()]
        rest = [pair for i, pair in enumerate(model) if i not in places]
        if step == "add":
            fields.add(name, value)
            model.append((name, value))
        elif step == "remove":
            fields.remove(name)
            model = rest
        else:
            fields[name] = value
            place = places[0] if places else len(rest)
            model = [*rest[:place], (name, value), *rest[place:]]
        assert fields.get_all() == model
        for each in ("Via", "Age", "ETag"):
            assert fields.getlist(each) == [v for n, v in model if n.lower() == each.lower()]


class FieldsOnTornadosConnection(AsyncHTTPTestCase):
    """Tornado writes a head from `Fields` as it stands."""

    def get_app(self):  # type: ignore[no-untyped-def]
        def answer(request: HTTPServerRequest) -> None:
            fields = Fields([("x-Mixed", "1"), ("X-MIXED", "2"), ("Content-Length", "2")])
            connection = request.connection
            assert connection is not None
            connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), fields, b"ok")  # type: ignore[arg-type]
            connection.finish()

        return answer

    @gen_test
    async def test_head(self) -> None:
        stream = await TCPClient().connect("127.0.0.1", self.get_http_port())
        await stream.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert await stream.read_until_close() == (
            b"HTTP/1.1 200 OK\r\n"
            b"x-Mixed: 1\r\n"
            b"X-MIXED: 2\r\n"
            b"Content-Length: 2\r\n"
            b"Connection: close\r\n"
            b"\r\n"
            b"ok"
        )


@pytest.mark.parametrize("name", [*sorted(HOP_BY_HOP), "Connection", "TRANSFER-ENCODING", "Te"])
def test_hop_by_hop_fields_go_no_further(name: str) -> None:
    pairs = [("A", "1"), (name, "x"), ("B", "2")]
    for connection in (None, "close", "keep-alive", "x-other"):
        assert end_to_end(pairs, connection) == [("A", "1"), ("B", "2")]


def test_the_list_is_that_of_the_rfc() -> None:
    rfc_9110_7_6_1 = {"connection", "proxy-connection", "keep-alive", "te", "transfer-encoding"}
    rfc_9110_elsewhere = {"upgrade", "trailer", "proxy-authenticate", "proxy-authorization"}
    assert rfc_9110_7_6_1 | rfc_9110_elsewhere == HOP_BY_HOP


NAMES = [
    "Host",
    "X-Secret",
    "X-Other",
    "ETag",
    "Accept-Ranges",
    "Cache-Control",
    "Vary",
    "Expires",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Content-Encoding",
]


@pytest.mark.parametrize(
    ("connection", "dropped"),
    [
        ("X-Secret", {"X-Secret"}),
        ("x-secret", {"X-Secret"}),
        ("close, X-Secret", {"X-Secret"}),
        ("close,X-Secret\t,, x-other ", {"X-Secret", "X-Other"}),
        ("X-Secret-Not", set()),
        ("X-Secret X-Other", set()),
        ("", set()),
        ("ETag, Accept-Ranges", {"ETag", "Accept-Ranges"}),
        ("Host, X-Other", {"X-Other"}),
        ("Cache-Control, Vary, Expires", set()),
        ("content-length, Content-Range, Content-Type, CONTENT-ENCODING", set()),
    ],
)
def test_fields_named_in_connection(connection: str, dropped: set[str]) -> None:
    pairs = [(name, "x") for name in NAMES]
    kept = end_to_end([*pairs, ("Connection", connection)], connection)
    assert kept == [pair for pair in pairs if pair[0] not in dropped]


@pytest.mark.parametrize(
    ("existing", "version", "value"),
    [
        (None, "HTTP/1.1", "1.1 aprp"),
        ("", "HTTP/1.1", "1.1 aprp"),
        (None, "1.0", "1.0 aprp"),
        ("1.0 fred, 1.1 p.example.net", "HTTP/1.1", "1.0 fred, 1.1 p.example.net, 1.1 aprp"),
    ],
)
def test_via_7_6_3(existing: str | None, version: str, value: str) -> None:
    assert add_via(existing, version, "aprp") == value


def test_a_head_is_the_lines_in_order() -> None:
    pairs = [("A", "1"), ("b", "\xe9"), ("A", "2")]
    assert head_bytes("X", pairs) == b"X\r\nA: 1\r\nb: \xe9\r\nA: 2\r\n\r\n"


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\r\nB: c", "a\0b", "\u20ac"])
def test_a_head_holds_no_line_ends_inside(bad: str) -> None:
    for line, pairs in ((bad, []), ("X", [(bad, "v")]), ("X", [("N", bad)])):
        with pytest.raises(ValueError):
            head_bytes(line, pairs)
