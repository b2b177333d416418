"""Cross-origin answers (Fetch standard, CORS protocol)."""

import pytest

from aprp.semantics.cors import cors_fields, decorate, is_preflight, preflight

PLAYER = "https://player.example"
OTHER = "https://other.example"
EXPOSED = (
    "Access-Control-Expose-Headers",
    "Content-Range, Content-Length, Accept-Ranges, ETag, X-Request-ID",
)
VARY = ("Vary", "Origin")


@pytest.mark.parametrize(
    ("origin", "allowed", "fields"),
    [
        pytest.param(PLAYER, ["*"], [("Access-Control-Allow-Origin", "*"), EXPOSED], id="all"),
        pytest.param(
            None, ["*"], [("Access-Control-Allow-Origin", "*"), EXPOSED], id="all, no Origin"
        ),
        pytest.param(
            PLAYER,
            [OTHER, PLAYER],
            [("Access-Control-Allow-Origin", PLAYER), EXPOSED, VARY],
            id="listed",
        ),
        pytest.param(OTHER, [PLAYER], [VARY], id="not listed"),
        pytest.param(None, [PLAYER], [VARY], id="no Origin, but a cache may keep the answer"),
        pytest.param("null", [PLAYER], [VARY], id="null is an origin like another"),
        pytest.param(PLAYER + ".evil.test", [PLAYER], [VARY], id="longer"),
        pytest.param("https://player", [PLAYER], [VARY], id="shorter"),
        pytest.param("http://player.example", [PLAYER], [VARY], id="other scheme"),
        pytest.param(PLAYER + ":8443", [PLAYER], [VARY], id="other port"),
        pytest.param(PLAYER, [], [], id="switched off"),
    ],
)
def test_answer(origin: str | None, allowed: list[str], fields: list[tuple[str, str]]) -> None:
    assert decorate(origin, allowed) == fields


METHODS = ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
ALWAYS = "Range, If-Range, If-None-Match, If-Modified-Since"


@pytest.mark.parametrize(
    ("requested", "headers"),
    [
        (None, ALWAYS),
        ("", ALWAYS),
        ("range", ALWAYS),
        ("range,x-token", f"{ALWAYS}, x-token"),
        ("X-Token , x-token,authorization", f"{ALWAYS}, X-Token, authorization"),
        ("x y,a\r\nSet-Cookie: b,,\xe4,ok", f"{ALWAYS}, ok"),
        ("*", f"{ALWAYS}, *"),
        (",".join(f"x-{i}" for i in range(100)), ALWAYS + "".join(f", x-{i}" for i in range(64))),
    ],
)
def test_preflight_allows_what_is_asked(requested: str | None, headers: str) -> None:
    age = ("Access-Control-Max-Age", "600")
    names = ("Access-Control-Allow-Headers", headers)
    assert preflight(PLAYER, requested, ["*"], 600) == [
        ("Access-Control-Allow-Origin", "*"),
        METHODS,
        names,
        age,
    ]
    assert preflight(PLAYER, requested, [PLAYER], 600) == [
        ("Access-Control-Allow-Origin", PLAYER),
        METHODS,
        names,
        age,
        VARY,
    ]


@pytest.mark.parametrize("allowed", [[PLAYER], []])
def test_preflight_of_another_origin_is_refused(allowed: list[str]) -> None:
    assert preflight(OTHER, "range", allowed, 600) == [VARY]


@pytest.mark.parametrize(
    ("method", "origin", "requested_method", "answer"),
    [
        ("OPTIONS", PLAYER, "GET", True),
        ("OPTIONS", PLAYER, None, False),
        ("OPTIONS", None, "GET", False),
        ("GET", PLAYER, "GET", False),
    ],
)
def test_what_is_a_preflight(
    method: str, origin: str | None, requested_method: str | None, answer: bool
) -> None:
    assert is_preflight(method, origin, requested_method) is answer


def test_whose_fields_they_are() -> None:
    own = ["access-control-allow-origin", "access-control-max-age"]
    assert cors_fields([own[0], "access-controls", "vary", own[1]]) == own
