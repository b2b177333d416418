"""Who the client is, told by trusted proxies (RFC 7239, X-Forwarded-For)."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprp.semantics.forwarded import MAX_HOPS, client_address, forward_fields, last_sender
from aprp.semantics.headers import Fields

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PEER = "10.0.0.1"


def is_trusted(address: str) -> bool:
    return any(ip_address(address) in network for network in PROXIES)


def by_list(told: str, peer: str = PEER) -> str:
    return client_address(peer, Fields([("X-Forwarded-For", told)]).get, is_trusted)


def by_forwarded(told: str, peer: str = PEER) -> str:
    return client_address(peer, Fields([("Forwarded", told)]).get, is_trusted)


def test_nobody_tells() -> None:
    assert client_address("192.0.2.1", Fields().get, is_trusted) == "192.0.2.1"
    assert client_address(PEER, Fields().get, is_trusted) == PEER


def test_an_untrusted_peer_is_not_believed() -> None:
    assert by_list("198.51.100.1", "192.0.2.1") == "192.0.2.1"
    assert by_forwarded("for=198.51.100.1", "192.0.2.1") == "192.0.2.1"


def test_a_unix_socket_has_no_address() -> None:
    fields = Fields([("X-Forwarded-For", "192.0.2.1")])
    assert client_address("", fields.get, lambda address: False) == ""
    assert client_address("", fields.get, lambda address: address == "") == "192.0.2.1"


NODES = [
    pytest.param("192.0.2.43", "192.0.2.43", id="IPv4"),
    pytest.param("192.0.2.43:47011", "192.0.2.43", id="6 IPv4 and port"),
    pytest.param("[2001:db8:cafe::17]", "2001:db8:cafe::17", id="6 IPv6"),
    pytest.param("[2001:db8:cafe::17]:4711", "2001:db8:cafe::17", id="6 IPv6 and port"),
    pytest.param("192.0.2.43:_secret.port-1", "192.0.2.43", id="6 obfuscated port"),
    pytest.param("[2001:DB8:0::17]", "2001:db8::17", id="one spelling of many"),
    pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="mapped"),
    pytest.param("[fe80::1%eth0]", "fe80::1", id="a zone means nothing here"),
    pytest.param("unknown", PEER, id="6.2 unknown"),
    pytest.param("_hidden", PEER, id="6.3 obfuscated"),
    pytest.param("_SEVKISEK:80", PEER, id="6.3 obfuscated, with a port"),
    pytest.param("", PEER, id="empty"),
    pytest.param("client.example", PEER, id="a name"),
    pytest.param("192.0.2.256", PEER, id="no address"),
    pytest.param("192.0.2.043", PEER, id="octal or not"),
    pytest.param("192.0.2", PEER, id="too short"),
    pytest.param("3221225985", PEER, id="a number"),
    pytest.param("[192.0.2.1]", "192.0.2.1", id="brackets around IPv4"),
    pytest.param("192.0.2.1:", PEER, id="an empty port"),
    pytest.param("192.0.2.1:123456", PEER, id="a port too long"),
    pytest.param("[2001:db8::1", PEER, id="a bracket left open"),
    pytest.param("[2001:db8::1]x", PEER, id="something behind"),
    pytest.param("2001:db8::1::2", PEER, id="no IPv6 address"),
    pytest.param("192.0.2.1/32", PEER, id="a network"),
    pytest.param("192.0.2.1\xa0", PEER, id="a blank that is none"),
    pytest.param("１９２.0.2.1", PEER, id="full-width digits"),
]


@pytest.mark.parametrize(("node", "client"), NODES)
def test_nodes_in_a_list(node: str, client: str) -> None:
    assert by_list(node) == client
    assert by_list(f"203.0.113.9, {node}\t") == client


@pytest.mark.parametrize(("node", "client"), NODES)
def test_nodes_of_forwarded(node: str, client: str) -> None:
    assert by_forwarded(f'for="{node}"') == client
    assert by_forwarded(f'for=203.0.113.9, host=x;For="{node}" ;proto=http') == client


def test_bare_ipv6_in_a_list() -> None:
    assert by_list("203.0.113.9, 2001:db8::1") == "2001:db8::1"
    assert by_list("2001:db8::1%eth0") == "2001:db8::1"


@pytest.mark.parametrize(
    ("told", "client"),
    [
        pytest.param("198.51.100.1, 192.0.2.1", "192.0.2.1", id="the nearest that is not ours"),
        pytest.param("192.0.2.1, 10.0.0.2, fd00::3", "192.0.2.1", id="behind several of ours"),
        pytest.param("192.0.2.1,10.0.0.2:99,[fd00::3]:99", "192.0.2.1", id="with ports"),
        pytest.param("10.0.0.3, 10.0.0.2", "10.0.0.3", id="ours alone: the first"),
        pytest.param("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2", id="6.2 stop at the last trusted"),
        pytest.param("192.0.2.1, _x, 10.0.0.2", "10.0.0.2", id="6.3 likewise"),
        pytest.param("192.0.2.1, , 10.0.0.2", "10.0.0.2", id="a gap likewise"),
        pytest.param("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1", id="ours, mapped"),
    ],
)
def test_hops(told: str, client: str) -> None:
    assert by_list(told) == client
    elements = ",".join(f'for="{node.strip()}"' for node in told.split(","))
    assert by_forwarded(elements) == client


@pytest.mark.parametrize(
    ("told", "client"),
    [
        pytest.param("for=192.0.2.43", "192.0.2.43", id="4 a token"),
        pytest.param("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60", id="4 pairs"),
        pytest.param("for=192.0.2.43, for=10.1.1.1", "192.0.2.43", id="4 two"),
        pytest.param("For=192.0.2.43", "192.0.2.43", id="4 names compare without case"),
        pytest.param("for=[2001:db8::1]:80", "2001:db8::1", id="quotes left out"),
        pytest.param(r'for="192\.0.2.43"', "192.0.2.43", id="9110 5.6.4 quoted pair"),
        pytest.param(";;for=192.0.2.43; ;", "192.0.2.43", id="4 empty pairs"),
        pytest.param("proto=http", PEER, id="nobody named"),
        pytest.param("by=192.0.2.1", PEER, id="5.1 by is the proxy itself"),
        pytest.param("xfor=192.0.2.1", PEER, id="another name"),
        pytest.param("for=192.0.2.1;for=192.0.2.2", PEER, id="4 once an element"),
        pytest.param("for = 192.0.2.1", PEER, id="4 no blanks around ="),
        pytest.param('for="192.0.2.1', PEER, id="a quote left open"),
        pytest.param('for=192.0.2.1"', PEER, id="a quote not opened"),
        pytest.param('for=192.0.2.1;host="a"b', PEER, id="something behind a string"),
        pytest.param("192.0.2.1", PEER, id="no pair"),
        pytest.param(
            'for=192.0.2.1;host="a,for=198.51.100.1"', "192.0.2.1", id="a comma in a string"
        ),
        pytest.param(
            r'for=192.0.2.1;host="a\",for=198.51.100.1"', "192.0.2.1", id="an escaped quote in it"
        ),
        pytest.param(
            r'for=192.0.2.1;host="\\\\\",for=198.51.100.1;x=\\"', "192.0.2.1", id="and backslashes"
        ),
        pytest.param(
            'for=192.0.2.1;host="a;for=198.51.100.1"', "192.0.2.1", id="a semicolon in a string"
        ),
        pytest.param(
            'for="198.51.100.1, for=192.0.2.1', "192.0.2.1", id="a client's quote left open"
        ),
        pytest.param(
            'x", for="198.51.100.1, for=192.0.2.1;host="a,b", for=10.0.0.9',
            "192.0.2.1",
            id="and behind two",
        ),
    ],
)
def test_forwarded(told: str, client: str) -> None:
    assert by_forwarded(told) == client


def test_the_list_comes_before_forwarded() -> None:
    """A proxy that knows X-Forwarded-For alone hands a client's Forwarded on."""
    fields = Fields([("Forwarded", "for=198.51.100.1"), ("X-Forwarded-For", "192.0.2.1")])
    assert client_address(PEER, fields.get, is_trusted) == "192.0.2.1"


def test_lines_of_the_field_are_one_list() -> None:
    fields = Fields([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "192.0.2.1")])
    assert client_address(PEER, fields.get, is_trusted) == "192.0.2.1"


@pytest.mark.parametrize("form", ["{}", "for={}"])
def test_hops_are_bounded(form: str) -> None:
    tell = by_list if form == "{}" else by_forwarded
    ours = [form.format(f"10.1.1.{n}") for n in range(MAX_HOPS, 0, -1)]
    assert tell(", ".join([form.format("192.0.2.1"), *ours[1:]])) == "192.0.2.1"
    assert tell(", ".join([form.format("192.0.2.1"), *ours])) == f"10.1.1.{MAX_HOPS}"


ADDRESSES = st.ip_addresses().map(lambda address: str(address).partition("%")[0])
HOSTS = st.one_of(
    st.none(), st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
)
WIRE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)


@given(ADDRESSES, HOSTS, WIRE, st.integers(0, 3))
def test_what_forward_fields_tell_is_believed(
    client: str, host: str | None, before: str, hops: int
) -> None:
    """Whatever a client wrote into the fields or into Host."""
    written = Fields([("Forwarded", before), ("X-Forwarded-For", before)])
    sent = Fields(forward_fields(client, "http", host, written.get, True).items())
    for hop in range(hops):
        sent = Fields(forward_fields(f"10.0.0.{hop}", "http", host, sent.get, True).items())
    parsed = ip_address(client)
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    for name in ("Forwarded", "X-Forwarded-For"):
        told = Fields([(name, sent[name])])
        found = client_address(PEER, told.get, is_trusted)
        assert found == str(mapped) or is_trusted(str(mapped))


@given(WIRE)
def test_anything_gives_an_address(told: str) -> None:
    for name in ("Forwarded", "X-Forwarded-For"):
        found = client_address(PEER, Fields([(name, told)]).get, is_trusted)
        assert str(ip_address(found)) == found


def test_long_fields_take_no_time() -> None:
    for told in (
        '"' * 60_000,
        '\\"' * 30_000,
        '",' * 30_000,
        "for=10.0.0.1," * 5_000,
        ";" * 60_000,
    ):
        assert by_forwarded(told) == PEER
        assert by_list(told) == PEER


@pytest.mark.parametrize(
    ("forwarded", "sender"),
    [
        ('for=192.0.2.1;host="a,for=127.0.0.1"', "192.0.2.1"),
        ('for=192.0.2.1;host="a;for=127.0.0.1"', "192.0.2.1"),
        (r'for=192.0.2.1;host="a\",for=127.0.0.1"', "192.0.2.1"),
        ("for=192.0.2.1;for=127.0.0.1", ""),
    ],
)
def test_the_last_sender_is_not_found_in_a_host(forwarded: str, sender: str) -> None:
    assert last_sender(None, forwarded) == [sender]
