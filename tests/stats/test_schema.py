"""docs/stats.schema.json: a schema, complete, and in agreement with docs/stats.md."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from aprp.stats.counters import Counters
from aprp.stats.report import report
from aprp.stats.shared_sum import SharedSum
from tests.stats.schema import FILE, SCHEMA, complaints
from tests.stats.test_report import NOW, counted, figures, summed

DOCUMENT = FILE.with_name("stats.md")


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each member with a value of its own, by its path."""
    for name, member in schema["properties"].items():
        below = f"{path}.{name}".lstrip(".")
        if "properties" in member:
            yield from leaves(member, below)
        else:
            yield below, member


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_real_reports_keep_to_it() -> None:
    assert complaints(report(counted(), NOW, figures, target="http://a.example/").to_json()) == []
    assert complaints(report(Counters(started=0.0), 0.0).to_json()) == []
    assert complaints(report(counted(), NOW, figures, redis=summed()).to_json()) == []
    connecting = SharedSum().read(Counters())
    assert complaints(report(Counters(started=0.0), 0.0, redis=connecting).to_json()) == []
    ill = report(Counters(5, started=0.0), 1e9, lambda: figures("the disk is full"))
    assert complaints(json.loads(json.dumps(ill.to_json()))) == []


def test_the_documents_example_keeps_to_it() -> None:
    example = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example
    assert complaints(json.loads(example[1])) == []


def test_it_says_what_the_document_says() -> None:
    meanings = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|$", DOCUMENT.read_text(), re.M))
    for path, member in leaves(SCHEMA):
        volume = member.get("$ref") == "#/$defs/volume"
        assert member["description"] == meanings[f"{path}.bytes" if volume else path], path


def test_all_members_are_promised() -> None:
    def check(schema: Any) -> None:
        if isinstance(schema, dict):
            if "properties" in schema:
                assert schema["required"] == list(schema["properties"])
            for member in schema.values():
                check(member)

    check(SCHEMA)


@pytest.mark.parametrize("path", [path for path, _ in leaves(SCHEMA)])
def test_a_member_that_is_missing_or_odd_is_seen(path: str) -> None:
    *above, last = path.split(".")
    for change in ("missing", "odd", "more"):
        told: Any = report(counted(), NOW, figures, redis=summed()).to_json()
        place = told
        for name in above:
            place = place[name]
        if change == "missing":
            del place[last]
        elif change == "odd":
            place[last] = ["odd"]
        else:
            place[f"{last}s"] = 1
        assert len(complaints(told)) == 1, change


def test_the_schema_is_beside_the_document() -> None:
    assert f"]({FILE.name})" in DOCUMENT.read_text()
