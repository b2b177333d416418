"""The picture of a run: a row of panels a group, a panel of bars a scenario. Needs matplotlib."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from benchmarks.report import Group, Results, figure
from benchmarks.scenarios import Scenario

OURS_COLOUR, OTHER_COLOUR = "#1f6feb", "#b0b7c0"
_PANEL, _BAR, _TITLE = 3.2, 0.33, 0.9  # inches


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(results: Results, stem: Path) -> None:
    """Write <stem>.png and <stem>.svg: medians as bars, lowest to highest as a thin line."""
    # By name, so that type checks give the same result with and without the package.
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "aprp"  # the same figures give the same file
    pyplot = importlib.import_module("matplotlib.pyplot")
    groups = results.groups()
    widest = max(len(results.scenarios(group)) for group in groups)
    heights = [_TITLE + _BAR * len(results.peers(group)) for group in groups]
    whole = pyplot.figure(figsize=(_PANEL * widest, sum(heights)), layout="constrained")
    rows = whole.subfigures(len(groups), 1, squeeze=False, height_ratios=heights)
    for row, group in zip(rows[:, 0], groups, strict=True):
        scenarios = results.scenarios(group)
        axes = row.subplots(1, len(scenarios), squeeze=False, sharey=True)[0]
        for axis, scenario in zip(axes, scenarios, strict=True):
            _panel(axis, results, group, scenario)
        axes[0].invert_yaxis()
    whole.savefig(stem.with_suffix(".png"), dpi=120)
    whole.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(whole)


def _panel(axis: Any, results: Results, group: Group, scenario: Scenario) -> None:
    """The bars of one scenario; `axis` is matplotlib's Axes."""
    peers = results.peers(group)
    values = [results.values(peer, scenario) for peer in peers]
    medians = [results.median(peer, scenario) or 0.0 for peer in peers]
    colours = [OURS_COLOUR if peer == group.ours else OTHER_COLOUR for peer in peers]
    lows = [m - min(v, default=m) for m, v in zip(medians, values, strict=True)]
    highs = [max(v, default=m) - m for m, v in zip(medians, values, strict=True)]
    axis.barh(peers, medians, color=colours, xerr=(lows, highs), ecolor="#57606a")
    top = max((m + h for m, h in zip(medians, highs, strict=True)), default=1.0)
    for row, (peer, median, high) in enumerate(zip(peers, medians, highs, strict=True)):
        text = figure(results.median(peer, scenario), scenario.unit)
        axis.text(median + high + 0.02 * top, row, text, va="center")
    axis.set_xlim(0, 1.25 * top)
    axis.set_title(f"{scenario.title}\nCPU {scenario.unit.replace('us/', 'µs/')}", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
