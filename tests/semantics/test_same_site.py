"""Requests that pages of other sites make."""

import pytest

from aprp.semantics.same_site import foreign_page, names_this_machine

HOST = "localhost:8000"


def asked_by(**fields: str) -> str | None:
    values = {name.replace("_", "-"): value for name, value in fields.items()}
    return foreign_page(values.get, "http", HOST)


def test_programs_send_neither_field() -> None:
    assert asked_by() is None


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_own_pages_and_the_address_bar(site: str) -> None:
    assert asked_by(Sec_Fetch_Site=site) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_other_pages(site: str) -> None:
    # Another port of this machine is the same site, and another origin.
    assert asked_by(Sec_Fetch_Site=site, Origin="http://localhost:3000") == "http://localhost:3000"
    assert asked_by(Sec_Fetch_Site=site) == site


def test_origin_counts_where_the_other_field_is_missing() -> None:
    assert asked_by(Origin="http://localhost:8000") is None
    assert asked_by(Origin="HTTP://LOCALHOST:8000") is None
    for origin in ("http://evil.example", "https://localhost:8000", "null", "http://localhost"):
        assert asked_by(Origin=origin) == origin


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST.", "films.localhost:1"),
        *("127.0.0.1:80", "127.9.9.9", "[::1]:8000"),
    ],
)
def test_names_of_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "evil.example", "localhost.evil.example:8000", "127.0.0.1.nip.io"),
        *("10.0.0.1", "[::2]", "[fe80::1"),
    ],
)
def test_names_that_may_lead_anywhere(host: str | None) -> None:
    assert not names_this_machine(host)
