"""Error answers: problem details (RFC 9457), and nothing of this machine in them."""

import json
from pathlib import Path

from tests.e2e.clients import Reply
from tests.e2e.content import PROJECT


def check_problem(reply: Reply, status: int, *, debug: bool = False) -> str:
    """Check an error answer (RFC 9457), and that it tells nothing of this machine; its detail."""
    assert reply.status == status
    assert reply.get("Content-Type") == "application/problem+json"
    assert reply.get("Content-Length") == str(len(reply.body))
    problem = json.loads(reply.body)
    assert problem["status"] == status
    assert problem["title"] == reply.reason
    text = reply.body.decode()
    assert "Traceback" not in text and "File " not in text
    if not debug:
        assert str(PROJECT) not in text and str(Path.home()) not in text
        # Where the origin is, is no business of clients.
        assert "127.0.0.1" not in text and ".example" not in text
    detail = problem["detail"]
    assert isinstance(detail, str)
    return detail
