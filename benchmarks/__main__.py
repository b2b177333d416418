"""`python -m benchmarks`: run proxies side by side and say what a request and a GiB cost."""

from __future__ import annotations

import argparse
import contextlib
import os
import pstats
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import BenchError, facts, measure, picture, profiled, report
from benchmarks.peers import APRP, APRP_CACHE, PEERS, ROOT, aprp_cache_command, aprp_command
from benchmarks.scenarios import SCENARIOS

README = ROOT / "README.md"
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


def _disk() -> Path:
    """A place for temporary files that is on a disk: /tmp may be in memory."""
    place = Path("/var/tmp")
    return place if os.access(place, os.W_OK) else Path(tempfile.gettempdir())


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    peers, scenarios = [p.name for p in PEERS], [s.name for s in SCENARIOS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "command",
        nargs="?",
        choices=("run", "report", "profile"),
        default="run",
        help="run: measure and report; report: write the reports again from results.json; "
        "profile: one scenario through aprp under cProfile, such as --scenario hit-64k "
        "(default: run)",
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
        "--update-docs",
        action="store_true",
        help="write the results into docs/benchmarks.md and README.md",
    )
    parser.add_argument(
        "--disk",
        type=Path,
        default=_disk(),
        metavar="DIR",
        help="directory on the disk where caches are kept for a while (default: %(default)s)",
    )
    return parser.parse_args(argv)


def run(given: argparse.Namespace) -> report.Results:
    """Measure what the command line asks for; peers that are not installed are left out."""
    known = facts.gather(given.disk)
    turns = given.turns or (QUICK_TURNS if given.quick else TURNS)
    peers = []
    for peer in PEERS:
        if peer.name in given.only:
            missing = peer.missing()
            if missing is None:
                peers.append(peer)
            else:
                say(f"{peer.name} is left out: {missing}")
    scenarios = [s for s in SCENARIOS if s.name in given.scenario]
    samples = measure.run(peers, scenarios, turns, given.quick, given.disk, say)
    return report.Results(known, turns, given.quick, tuple(samples))


def say(line: str) -> None:
    """Tell how the run goes."""
    print(line, flush=True)


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
        for document, new in ((DOCS, text), (README, report.summary(results))):
            document.write_text(report.replace_between(document.read_text(), new))
            print(f"rewritten: {document}")


@contextlib.contextmanager
def profiling(process: int) -> Iterator[None]:
    """A program started by `benchmarks.profiled` is profiled inside."""
    os.kill(process, profiled.SIGNAL)
    yield
    os.kill(process, profiled.SIGNAL)


def profile(given: argparse.Namespace) -> None:
    """One scenario through aprp under cProfile; prints the functions that took most time."""
    if len(given.scenario) != 1:
        raise BenchError("profile: name one scenario, such as --scenario 64k")
    scenario = next(s for s in SCENARIOS if s.name == given.scenario[0])
    with (
        tempfile.TemporaryDirectory(prefix="aprp-bench-") as directory,
        measure.stage(given.disk) as stage,
    ):
        raw = Path(directory) / "profile"
        if scenario.kind in ("pass", "upload"):
            peer = replace(APRP, command=lambda place: aprp_command(place, raw))
        else:
            peer = replace(APRP_CACHE, command=lambda place: aprp_cache_command(place, raw))
        with stage.server(peer, scenario.kind) as server:
            if scenario.kind == "hit":
                measure.fill(stage, server, scenario)
            count = scenario.quick_count if given.quick else scenario.count
            assert server.process is not None
            around = profiling(server.process.pid)
            measure.measure(stage, server, peer, scenario, count, turn=1, around=around)
        if not raw.exists():
            raise BenchError("aprp ended without writing its profile")
        stats = pstats.Stats(str(raw))
        stats.sort_stats("tottime").print_stats(40)
        given.output.mkdir(parents=True, exist_ok=True)
        kept = given.output / f"profile-{scenario.name}.pstats"
        shutil.copyfile(raw, kept)
    print(f"written: {kept} (the measured requests only; python -m pstats reads it)")


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
