"""From samples to tables: medians, spread, ratios and targets. Pure but for the last functions."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import BenchError
from benchmarks.scenarios import SCENARIOS, Kind, Sample, Scenario

BEGIN = "<!-- results:begin (written by python -m benchmarks --update-docs) -->"
END = "<!-- results:end -->"
BEST = "best"
"""In a target: whichever of the group's other proxies takes least."""


@dataclass(frozen=True, slots=True)
class Group:
    """Kinds of work that the same proxies do: `ours` is compared with `against`."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    ours: str
    against: tuple[str, ...]

    def has(self, scenario: Scenario) -> bool:
        """Whether the scenario is one of this group."""
        return scenario.kind in self.kinds


PASSING = Group(
    "passing",
    "Passing through",
    ("pass", "upload"),
    "aprp",
    ("nginx", "nginx-large", "aiohttp", "tornado"),
)
CACHING = Group(
    "caching",
    "From the cache, and into it",
    ("hit", "miss"),
    "aprp-cache",
    ("nginx-cache", "varnish"),
)
GROUPS = (PASSING, CACHING)


def group_of(scenario: Scenario) -> Group:
    """The group a scenario is in."""
    return next(group for group in GROUPS if group.has(scenario))


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run, as it stands in results.json."""

    facts: dict[str, str]
    turns: int
    quick: bool
    samples: tuple[Sample, ...]

    def peers(self, group: Group | None = None) -> list[str]:
        """Names of the peers measured (in a group), in the order of the run."""
        wanted = {scenario.name for scenario in self.scenarios(group)}
        return list(dict.fromkeys(s.peer for s in self.samples if s.scenario in wanted))

    def scenarios(self, group: Group | None = None) -> list[Scenario]:
        """The scenarios measured (of a group), in the order of SCENARIOS."""
        measured = {sample.scenario for sample in self.samples}
        return [s for s in SCENARIOS if s.name in measured and (group is None or group.has(s))]

    def groups(self) -> list[Group]:
        """The groups of which something was measured."""
        return [group for group in GROUPS if self.scenarios(group)]

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

    def best(self, scenario: Scenario) -> str | None:
        """Which of the proxies that aprp is compared with takes least; None: none was measured."""
        medians = {
            peer: median
            for peer in group_of(scenario).against
            if (median := self.median(peer, scenario)) is not None
        }
        return min(medians, key=medians.__getitem__, default=None)

    def ratio(self, peer: str | None, scenario: Scenario) -> float | None:
        """aprp's median over the peer's: below 1, aprp takes less CPU time."""
        ours = self.median(group_of(scenario).ours, scenario)
        theirs = None if peer is None else self.median(peer, scenario)
        return None if ours is None or not theirs else ours / theirs


@dataclass(frozen=True, slots=True)
class Target:
    """An upper bound for aprp: of a figure, or of its ratio to a peer's (BEST: the best one's)."""

    scenario: str
    peer: str | None
    limit: float


TARGETS = (
    Target("large", "nginx", 0.6),
    Target("64k", None, 260.0),
    Target("64k", "aiohttp", 1.0),
    Target("upload-1g", "nginx", 1.2),
    Target("hit-large", BEST, 0.85),
    Target("hit-1m", None, 350.0),
    Target("hit-64k", None, 180.0),
    Target("miss-large", "nginx-cache", 0.5),
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


def _heading(scenario: Scenario) -> str:
    return f"{scenario.title}, {scenario.unit.replace('us/', 'µs/')}"


def medians_table(results: Results, group: Group) -> str:
    """CPU time of each peer in each scenario of a group, and aprp's ratio to the best other."""
    peers, compared = results.peers(group), _compared(results, group)
    head = ["CPU time", *peers]
    if compared:
        head += [f"{group.ours} / best other"]
    rows = []
    for scenario in results.scenarios(group):
        row = [_heading(scenario)]
        row += [figure(results.median(peer, scenario), scenario.unit) for peer in peers]
        if compared:
            best = results.best(scenario)
            row += [f"{figure(results.ratio(best, scenario), 'ratio')} ({best or 'none'})"]
        rows.append(row)
    return table(head, rows)


def spread_table(results: Results, group: Group) -> str:
    """The lowest and highest figure over the turns: how far the medians can be trusted."""
    peers = results.peers(group)
    rows = []
    for scenario in results.scenarios(group):
        row = [scenario.title]
        for peer in peers:
            values = results.values(peer, scenario)
            ends = (min(values), max(values)) if values else (None, None)
            row.append(" - ".join(figure(value, scenario.unit) for value in ends))
        rows.append(row)
    return table(["lowest - highest", *peers], rows)


def _compared(results: Results, group: Group) -> list[str]:
    """The measured peers that aprp is compared with; none where aprp was not measured."""
    measured = results.peers(group)
    return [p for p in group.against if p in measured] if group.ours in measured else []


def ratio_table(results: Results, group: Group) -> str | None:
    """aprp's figures over those of the others; None where aprp or all others are missing."""
    compared = _compared(results, group)
    if not compared:
        return None
    rows = [
        [scenario.title, *(figure(results.ratio(peer, scenario), "ratio") for peer in compared)]
        for scenario in results.scenarios(group)
    ]
    return table(["ratio", *(f"{group.ours} / {peer}" for peer in compared)], rows)


def target_lines(results: Results) -> list[str]:
    """One line a target whose figures were measured: what it is, what came out, met or missed."""
    lines = []
    for target in TARGETS:
        scenario = next(s for s in SCENARIOS if s.name == target.scenario)
        ours = group_of(scenario).ours
        if target.peer is None:
            value, unit, what = results.median(ours, scenario), scenario.unit, ours
        else:
            peer = results.best(scenario) if target.peer == BEST else target.peer
            value, unit = results.ratio(peer, scenario), "ratio"
            what = f"{ours} / {peer}" + (" (the best other)" if target.peer == BEST else "")
        if value is not None:
            lines.append(
                f"{'met   ' if value <= target.limit else 'MISSED'} {scenario.title}, {what}: "
                f"{figure(value, unit)}, at most {figure(target.limit, unit)}"
            )
    return lines


def _preface(results: Results) -> str:
    turns = f"Median of {results.turns} turn{'s' if results.turns != 1 else ''}"
    note = ", quick run: figures are rough" if results.quick else ""
    return f"{turns}{note}. Less is better."


def markdown(results: Results, picture: str | None = None) -> str:
    """The report; `picture` is the path of the picture as seen from the report's file."""
    parts = [_preface(results)]
    for group in results.groups():
        parts += [f"### {group.title}", medians_table(results, group)]
        ratios = ratio_table(results, group)
        parts += [ratios] if ratios is not None else []
        parts += [spread_table(results, group)]
    if picture is not None:
        parts.append(f"![CPU time of each proxy]({picture})")
    targets = target_lines(results)
    if targets:
        parts.append("\n".join(["Targets:", "", *(f"- {line}" for line in targets)]))
    parts.append("\n".join(f"- {name}: {value}" for name, value in results.facts.items()))
    return "\n\n".join(parts) + "\n"


def summary(results: Results) -> str:
    """The medians alone, for a reader who wants no more."""
    parts = [_preface(results)]
    for group in results.groups():
        parts += [f"{group.title}:", medians_table(results, group)]
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
