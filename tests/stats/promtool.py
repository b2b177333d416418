"""promtool, the program by which Prometheus checks names and queries."""

import json
import subprocess
from pathlib import Path

from tests.e2e.programs import require


def check_metrics(text: str) -> str:
    """Check names, types and help; give its complaints, empty where there are none."""
    return _run("check", "metrics", input=text)


def check_queries(queries: list[str], directory: Path) -> str:
    """Check that queries can be read; give its complaints, empty where there are none."""
    rules = [{"record": f"checked:{n}", "expr": query} for n, query in enumerate(queries)]
    file = directory / "rules.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "checked", "rules": rules}]}))
    return _run("check", "rules", "--lint=none", str(file))


def _run(*words: str, input: str = "") -> str:
    done = subprocess.run(
        [require("promtool"), *words],
        input=input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    complaints = done.stdout + done.stderr
    assert done.returncode == 0 or complaints
    return complaints if done.returncode else ""
