"""From samples to tables: medians, spread, ratios and targets. Pure but for the last functions."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.measure import SCENARIOS, Sample, Scenario

BEGIN = "<!-- results:begin (written by python -m benchmarks --update-docs) -->"
END = "<!-- results:end -->"
OURS = "aprp"
AGAINST = ("nginx", "nginx-large", "aiohttp", "tornado")


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run, as it stands in results.json."""

    facts: dict[str, str]
    turns: int
    quick: bool
    samples: tuple[Sample, ...]

    def peers(self) -> list[str]:
        """Names of the peers measured, in the order of the run."""
        return list(dict.fromkeys(sample.peer for sample in self.samples))

    def scenarios(self) -> list[Scenario]:
        """The scenarios measured, in the order of SCENARIOS."""
        measured = {sample.scenario for sample in self.samples}
        return [scenario for scenario in SCENARIOS if scenario.name in measured]

    def values(self, peer: str, scenario: Scenario) -> list[float]:
        """The figures of all turns, in the scenario's unit."""
        return [
            sample.value(scenario.unit)
            for sample in self.samples
            if sample.peer == peer and sample.scenario == scenario.name
        ]

    def median(self, peer: str, scenario: Scenario) -> float | None:
        """The median over the turns; None where this was not measured."""
        values = self.values(peer, scenario)
        return statistics.median(values) if values else None

    def ratio(self, peer: str, scenario: Scenario) -> float | None:
        """aprp's median over the peer's: below 1, aprp takes less CPU time."""
        ours, theirs = self.median(OURS, scenario), self.median(peer, scenario)
        return None if ours is None or not theirs else ours / theirs


@dataclass(frozen=True, slots=True)
class Target:
    """An upper bound for aprp: of a figure, or of its ratio to a peer's."""

    scenario: str
    peer: str | None
    limit: float


TARGETS = (
    Target("large", "nginx", 0.6),
    Target("64k", None, 260.0),
    Target("64k", "aiohttp", 1.0),
)


def figure(value: float | None, unit: str) -> str:
    """A figure with as many digits as mean something; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.2f}" if unit in ("s/GiB", "ratio") or value < 10 else f"{value:.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are also aligned for a terminal; the first is text."""
    every = [head, *rows]
    widths = [max(3, *(len(row[i]) for row in every)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join([line(head), f"| {' | '.join(rule)} |", *map(line, rows)])


def medians_table(results: Results) -> str:
    """CPU time of each peer in each scenario."""
    scenarios = results.scenarios()
    head = ["CPU time", *(f"{s.title}, {s.unit.replace('us/', 'µs/')}" for s in scenarios)]
    rows = [
        [peer, *(figure(results.median(peer, s), s.unit) for s in scenarios)]
        for peer in results.peers()
    ]
    return table(head, rows)


def spread_table(results: Results) -> str:
    """The lowest and highest figure over the turns: how far the medians can be trusted."""
    scenarios = results.scenarios()
    rows = []
    for peer in results.peers():
        row = [peer]
        for scenario in scenarios:
            values = results.values(peer, scenario)
            ends = (min(values), max(values)) if values else (None, None)
            row.append(" - ".join(figure(value, scenario.unit) for value in ends))
        rows.append(row)
    return table(["lowest - highest", *(s.title for s in scenarios)], rows)


def ratio_table(results: Results) -> str | None:
    """aprp's figures over those of the others; None where aprp or all others are missing."""
    peers = [peer for peer in AGAINST if peer in results.peers()]
    if OURS not in results.peers() or not peers:
        return None
    scenarios = results.scenarios()
    rows = [
        [f"{OURS} / {peer}", *(figure(results.ratio(peer, s), "ratio") for s in scenarios)]
        for peer in peers
    ]
    return table(["ratio", *(s.title for s in scenarios)], rows)


def target_lines(results: Results) -> list[str]:
    """One line a target whose figures were measured: what it is, what came out, met or missed."""
    lines = []
    for target in TARGETS:
        scenario = next(s for s in SCENARIOS if s.name == target.scenario)
        if target.peer is None:
            value, unit, what = results.median(OURS, scenario), scenario.unit, OURS
        else:
            value, unit = results.ratio(target.peer, scenario), "ratio"
            what = f"{OURS} / {target.peer}"
        if value is not None:
            lines.append(
                f"{'met   ' if value <= target.limit else 'MISSED'} {scenario.title}, {what}: "
                f"{figure(value, unit)}, at most {figure(target.limit, unit)}"
            )
    return lines


def markdown(results: Results, picture: str | None = None) -> str:
    """The report; `picture` is the path of the picture as seen from the report's file."""
    turns = f"Median of {results.turns} turn{'s' if results.turns != 1 else ''}"
    note = ", quick run: figures are rough" if results.quick else ""
    parts = [f"{turns}{note}. Less is better.", medians_table(results)]
    ratios = ratio_table(results)
    if ratios is not None:
        parts += [ratios]
    parts += [spread_table(results)]
    if picture is not None:
        parts.append(f"![CPU time of each proxy]({picture})")
    targets = target_lines(results)
    if targets:
        parts.append("\n".join(["Targets:", "", *(f"- {line}" for line in targets)]))
    parts.append("\n".join(f"- {name}: {value}" for name, value in results.facts.items()))
    return "\n\n".join(parts) + "\n"


def to_json(results: Results) -> str:
    """The run as text, every sample in it."""
    return json.dumps(dataclasses.asdict(results), indent=1) + "\n"


def from_json(text: str) -> Results:
    """The run that `to_json` wrote; raises BenchError where the text is something else."""
    try:
        data = json.loads(text)
        samples = tuple(Sample(**sample) for sample in data["samples"])
        return Results(data["facts"], data["turns"], data["quick"], samples)
    except (ValueError, KeyError, TypeError) as problem:
        raise BenchError(f"not a results file of this program: {problem}") from problem


def replace_between(text: str, new: str) -> str:
    """The text with what stands between the two marks replaced; raises BenchError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"the marks {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n\n{new.strip()}\n\n{END}{after}"


def write(results: Results, directory: Path, picture: str | None) -> None:
    """Write results.json and results.md."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(to_json(results))
    (directory / "results.md").write_text(f"# Benchmark\n\n{markdown(results, picture)}")
