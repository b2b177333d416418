"""The Grafana dashboard: what it shows is there, and its queries can be read."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from aprp.stats.counters import Counters
from aprp.stats.histograms import Histograms
from aprp.stats.metrics import SharedCollector
from tests.stats.promtool import check_queries

FILE = Path(__file__).resolve().parents[2] / "deploy/grafana-dashboard.json"
BOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]

EXPOSED: dict[str, set[str]] = {}
for _metric in SharedCollector(Counters(), Histograms(), 0.0).collect():
    for _sample in _metric.samples:
        EXPOSED.setdefault(_sample.name, {"job", "instance"}).update(_sample.labels)


def expanded(query: str) -> str:
    """The query with the values that Grafana puts in."""
    values = {"$__rate_interval": "5m", "$job": "aprp", "$instance": ".*"}
    for name, value in values.items():
        query = query.replace(name, value)
    return query


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_label_exists(query: str) -> None:
    named = re.findall(r"\b(aprp_\w+)\{(.*?)\}", query)
    assert named
    # None without a selection of the proxies that were chosen.
    assert len(named) == len(re.findall(r"\baprp_\w+", query))
    grouped = re.findall(r"by \((\w+)\)", query)
    for name, matchers in named:
        assert name in EXPOSED
        assert set(re.findall(r"(\w+)=", matchers)) <= EXPOSED[name]
        assert {'job=~"$job"', 'instance=~"$instance"'} <= set(matchers.split(","))
        assert set(grouped) <= EXPOSED[name]


def test_variables_ask_for_what_exists() -> None:
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables.keys() == {"datasource", "job", "instance"}
    for name in ("job", "instance"):
        query = variables[name]["query"]["query"]
        assert re.findall(r"aprp_\w+", query) == ["aprp_build_info"]
        assert query.endswith(f", {name})")


@pytest.mark.parametrize("query", QUERIES)
def test_counters_are_rates_and_gauges_are_not(query: str) -> None:
    for name in re.findall(r"aprp_\w+", query):
        grows = name.endswith(("_total", "_bucket"))
        assert (f"rate({name}{{" in query) == grows


def test_the_queries_can_be_read(tmp_path: Path) -> None:
    assert check_queries([expanded(query) for query in QUERIES], tmp_path) == ""
    assert "parse error" in check_queries(["sum(("], tmp_path)


def test_what_is_shown() -> None:
    titles = {panel["title"] for panel in PANELS}
    assert titles >= {
        "Throughput",
        "Hit ratio by bytes",
        "Requests by class",
        "Time to first byte",
        "Errors",
        "Tunnels",
        "Cache fill",
    }
    (first,) = [panel for panel in PANELS if panel["title"] == "Time to first byte"]
    assert [target["legendFormat"] for target in first["targets"]] == ["p50", "p95", "p99"]
    assert all(panel["description"] for panel in PANELS)


def test_panels_stand_side_by_side() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
