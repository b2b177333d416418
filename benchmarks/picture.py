"""The picture of a run: a panel of bars a scenario. Needs matplotlib (requirements-bench.txt)."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from benchmarks.report import OURS, Results, figure

OURS_COLOUR, OTHER_COLOUR = "#1f6feb", "#b0b7c0"


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
    scenarios, peers = results.scenarios(), results.peers()
    height = 0.9 + 0.33 * len(peers)
    panels, axes = pyplot.subplots(
        1, len(scenarios), figsize=(3.2 * len(scenarios), height), squeeze=False, sharey=True
    )
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        values = [results.values(peer, scenario) for peer in peers]
        medians = [results.median(peer, scenario) or 0.0 for peer in peers]
        colours = [OURS_COLOUR if peer == OURS else OTHER_COLOUR for peer in peers]
        lows = [m - min(v, default=m) for m, v in zip(medians, values, strict=True)]
        highs = [max(v, default=m) - m for m, v in zip(medians, values, strict=True)]
        axis.barh(peers, medians, color=colours, xerr=(lows, highs), ecolor="#57606a")
        top = max((m + h for m, h in zip(medians, highs, strict=True)), default=1.0)
        for row, (median, high) in enumerate(zip(medians, highs, strict=True)):
            axis.text(median + high + 0.02 * top, row, figure(median, scenario.unit), va="center")
        axis.set_xlim(0, 1.25 * top)
        axis.set_title(f"{scenario.title}\nCPU {scenario.unit.replace('us/', 'µs/')}", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].invert_yaxis()
    panels.tight_layout()
    panels.savefig(stem.with_suffix(".png"), dpi=120)
    panels.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(panels)
