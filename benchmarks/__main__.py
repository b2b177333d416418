"""`python -m benchmarks`: run proxies side by side and say what a request and a GiB cost."""

from __future__ import annotations

import argparse
import pstats
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import BenchError, facts, measure, picture, report
from benchmarks.peers import PEERS, ROOT, aprp_command

DOCS = ROOT / "docs" / "benchmarks.md"
TURNS, QUICK_TURNS = 5, 1


def names(allowed: list[str]) -> Callable[[str], list[str]]:
    """An argument type: names from a list, separated by commas."""

    def parse(text: str) -> list[str]:
        given = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in given if name not in allowed]
        if unknown or not given:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(allowed)}"
            )
        return given

    return parse


def positive(text: str) -> int:
    """An argument type: a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return int(text)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    peers, scenarios = [p.name for p in PEERS], [s.name for s in measure.SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "command",
        nargs="?",
        choices=("run", "report", "profile"),
        default="run",
        help="run: measure and report; report: write the reports again from results.json; "
        "profile: one scenario through aprp under cProfile (default: run)",
    )
    parser.add_argument("--quick", action="store_true", help="less work, rough figures, < 1 min")
    parser.add_argument(
        "--turns", type=positive, help=f"default {TURNS}, with --quick {QUICK_TURNS}"
    )
    parser.add_argument(
        "--only", type=names(peers), default=peers, metavar="NAME,...", help=", ".join(peers)
    )
    parser.add_argument(
        "--scenario",
        type=names(scenarios),
        default=scenarios,
        metavar="NAME,...",
        help=", ".join(scenarios),
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument(
        "--update-docs", action="store_true", help="write the results into docs/benchmarks.md"
    )
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> report.Results:
    """Measure what the command line asks for."""
    known = facts.gather()
    turns = given.turns or (QUICK_TURNS if given.quick else TURNS)
    peers = [peer for peer in PEERS if peer.name in given.only]
    scenarios = [s for s in measure.SCENARIOS if s.name in given.scenario]
    samples = measure.run(
        peers, scenarios, turns, given.quick, lambda line: print(line, flush=True)
    )
    return report.Results(known, turns, given.quick, tuple(samples))


def publish(results: report.Results, output: Path, update_docs: bool) -> None:
    """Write results.json, results.md and the pictures, print the tables, rewrite the docs' part."""
    output.mkdir(parents=True, exist_ok=True)
    drawn = picture.available()
    if drawn:
        picture.draw(results, output / "results")
    report.write(results, output, "results.png" if drawn else None)
    print(f"\n{report.markdown(results)}")
    print(f"written: {output}/results.json, results.md" + (", .png, .svg" if drawn else ""))
    if not drawn:
        print("no picture: matplotlib is not installed (pip install -r requirements-bench.txt)")
    if update_docs:
        if drawn:
            shutil.copyfile(output / "results.svg", DOCS.with_suffix(".svg"))
        text = report.markdown(results, "benchmarks.svg" if drawn else None)
        DOCS.write_text(report.replace_between(DOCS.read_text(), text))
        print(f"rewritten: {DOCS}")


def profile(given: argparse.Namespace) -> None:
    """One scenario through aprp under cProfile; prints the functions that took most time."""
    if len(given.scenario) != 1:
        raise BenchError("profile: name one scenario, such as --scenario 64k")
    scenario = next(s for s in measure.SCENARIOS if s.name == given.scenario[0])
    with tempfile.TemporaryDirectory(prefix="aprp-bench-") as directory, measure.stage() as stage:
        raw = Path(directory) / "profile"
        with stage.server("aprp", lambda place: aprp_command(place, raw)) as server:
            count = scenario.quick_count if given.quick else scenario.count
            measure.measure(stage, server, scenario, count, turn=1)
        if not raw.exists():
            raise BenchError("aprp ended without writing its profile")
        stats = pstats.Stats(str(raw))
        stats.sort_stats("tottime").print_stats(40)
        given.output.mkdir(parents=True, exist_ok=True)
        kept = given.output / f"profile-{scenario.name}.pstats"
        shutil.copyfile(raw, kept)
    print(f"written: {kept} (warm-up included; python -m pstats reads it)")


def interrupt(*_: object) -> None:
    """SIGTERM ends a run as Ctrl-C does: what was started is ended."""
    raise KeyboardInterrupt


def main() -> int:
    """Entry point; returns the exit status."""
    given = arguments()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if given.command == "profile":
            profile(given)
        elif given.command == "report":
            source = given.output / "results.json"
            publish(report.from_json(source.read_text()), given.output, given.update_docs)
        else:
            publish(run(given), given.output, given.update_docs)
    except (BenchError, OSError) as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
