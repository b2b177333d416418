"""Errors as clients see them: one status and one text for each cause (RFC 9457)."""

import json

import pytest

from aprp.handlers.errors import PROBLEM_TYPE, Problem, problem_of
from aprp.sites.guards import Loop
from aprp.upstream import errors
from aprp.upstream.errors import OriginFailure

ORIGIN = "http://origin.test:9000"

# What each failure of an origin is to the client: RFC 9110 section 15.6.3 (502: the answer is
# no good), 15.6.5 (504: none in time), 15.6.4 (503: the proxy itself has too much to do).
CASES = [
    (errors.ResolveFailed("no such host"), 502, "no address"),
    (errors.ConnectFailed("refused"), 502, "refused"),
    (errors.ConnectTimeout("slow"), 504, "CONNECT_TIMEOUT"),
    (errors.TLSFailed("self-signed"), 502, "UPSTREAM_CA"),
    (errors.Overloaded("queue"), 503, "ORIGIN_MAX_CONNECTIONS"),
    (errors.FirstByteTimeout("no answer within 30 s"), 504, "FIRST_BYTE_TIMEOUT"),
    (errors.IdleTimeout("no bytes for 30 s"), 504, "IDLE_TIMEOUT"),
    (errors.BadResponse("both lengths"), 502, "not valid HTTP"),
    (errors.HeadTooLarge("32768 bytes"), 502, "MAX_HEADER_SIZE"),
    (errors.OriginClosed("Connection closed"), 502, "closed the connection"),
    (errors.Forbidden("10.0.0.1"), 403, "FORWARD_ALLOW"),
    (Loop("127.0.0.1"), 508, "back to this proxy"),
]
NEVER_TOLD = {
    "TotalTimeout": "the proxy's own requests have no limit on the whole time",
    "Aborted": "whoever gave the fetch up does not wait for it",
}


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [pytest.param(*case, id=type(case[0]).__name__) for case in CASES],
)
def test_each_failure_of_an_origin(error: OriginFailure, status: int, words: str) -> None:
    problem = problem_of(error, ORIGIN)
    assert problem.status == status
    assert words in problem.detail
    assert ORIGIN not in problem.detail
    assert problem.fields == ({"Retry-After": "1"} if status == 503 else {})
    assert problem.private is not None
    assert problem.private.startswith(f"{ORIGIN}: {type(error).__name__}: ")


# Those that are raised although there are more special ones.
RAISED = {"Forbidden"}


def _leaves(kind: type[OriginFailure]) -> set[str]:
    below = kind.__subclasses__()
    own = {kind.__name__} if not below or kind.__name__ in RAISED else set()
    return own.union(*map(_leaves, below))


def test_no_failure_is_without_a_case() -> None:
    told = {type(error).__name__ for error, _, _ in CASES}
    assert told | NEVER_TOLD.keys() == _leaves(OriginFailure)
    assert not told & NEVER_TOLD.keys()


@pytest.mark.parametrize(
    "error", [errors.TotalTimeout("x"), errors.Aborted("x"), ValueError("x"), OSError("x")]
)
def test_what_is_no_failure_of_an_origin_stays_an_error(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        problem_of(error, ORIGIN)
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "private"),
    [
        (errors.ConnectFailed(111, "Connection refused"), "ConnectFailed: Connection refused"),
        (errors.TLSFailed(1, "certificate verify failed"), "TLSFailed: certificate verify failed"),
        (errors.BadResponse("Invalid header"), "BadResponse: Invalid header"),
        (errors.FirstByteTimeout("no answer within 3 s"), "FirstByteTimeout: no answer within 3 s"),
        (errors.ConnectFailed(), "ConnectFailed"),
    ],
)
def test_the_cause_in_the_log(error: OriginFailure, private: str) -> None:
    assert problem_of(error, ORIGIN).private == f"{ORIGIN}: {private}"


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("error", [pytest.param(e, id=type(e).__name__) for e, _, _ in CASES])
def test_the_cause_is_for_clients_only_where_debug_is_on(error: OriginFailure, debug: bool) -> None:
    problem = problem_of(error, ORIGIN)
    body = problem.body(debug)
    told = json.loads(body)
    assert told.pop("cause", None) == (problem.private if debug else None)
    assert (b"origin.test" in body) is debug
    assert told.keys() == {"title", "status", "detail"}


def test_the_object() -> None:
    problem = Problem(416, "No – such.", fields={"A": "b"}, private="secret", length=5)
    assert json.loads(problem.body(False)) == {
        "title": "Range Not Satisfiable",
        "status": 416,
        "detail": "No – such.",
        "length": 5,
    }
    assert problem.body(False).decode("utf-8").endswith("}\n")
    assert problem.fields == {"A": "b"}
    assert str(problem) == "No – such."
    assert PROBLEM_TYPE == "application/problem+json"


def test_the_object_names_the_request() -> None:
    told = json.loads(Problem(404, "Nothing.", length=5).body(False, "3f2a"))
    assert told["request_id"] == "3f2a"
    assert list(told) == ["title", "status", "detail", "length", "request_id"]


def test_an_object_without_more() -> None:
    problem = Problem(499, "Gone.")
    assert json.loads(problem.body(True)) == {"title": "Unknown", "status": 499, "detail": "Gone."}
    assert problem.fields == {}
    assert problem.private is None
