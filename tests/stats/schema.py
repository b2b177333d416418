"""The JSON schema of /stats.json, and checks by it."""

import copy
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FILE = Path(__file__).resolve().parents[2] / "docs/stats.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text())


def closed(schema: Any) -> Any:
    """The schema with nothing allowed that it does not name: nothing may be undocumented."""
    schema = copy.deepcopy(schema)

    def close(part: Any) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                part["additionalProperties"] = False
            for member in part.values():
                close(member)

    close(schema)
    return schema


def complaints(told: object) -> list[str]:
    """What is wrong with an answer of /stats.json: places, and what the schema says of them."""
    validator = Draft202012Validator(closed(SCHEMA))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(told)]
