"""Tables, medians, ratios and targets of the benchmark's report."""

import pytest

from benchmarks import BenchError
from benchmarks.measure import GIB, SCENARIOS, Sample
from benchmarks.report import (
    BEGIN,
    END,
    Results,
    figure,
    from_json,
    markdown,
    medians_table,
    ratio_table,
    replace_between,
    spread_table,
    table,
    target_lines,
    to_json,
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def sample(turn: int, peer: str, scenario: str, cpu: float, requests: int = 1000) -> Sample:
    size = GIB if scenario == "large" else requests
    return Sample(turn, peer, scenario, requests, size, seconds=1.0, cpu=cpu)


def results(*samples: Sample, quick: bool = False) -> Results:
    return Results({"CPU": "abacus"}, 3, quick, samples)


RUN = results(
    # Microseconds a request: 200, 100, 900; the mean would be 400.
    sample(1, "aprp", "64k", 0.2),
    sample(2, "aprp", "64k", 0.1),
    sample(3, "aprp", "64k", 0.9),
    sample(1, "nginx", "64k", 0.05),
    sample(2, "nginx", "64k", 0.04),
    sample(3, "nginx", "64k", 0.06),
    sample(1, "aprp", "large", 0.5),
    sample(1, "nginx", "large", 1.0),
)


@pytest.mark.parametrize(
    ("made", "unit", "value"),
    [
        (Sample(1, "x", "64k", 500, 500 << 16, 9.0, 0.1), "us/request", 200.0),
        (Sample(1, "x", "large", 4, 2 * GIB, 9.0, 0.8), "s/GiB", 0.4),
        (Sample(1, "x", "large", 1, GIB // 4, 9.0, 0.1), "s/GiB", 0.4),
    ],
)
def test_a_sample_in_its_unit(made: Sample, unit: str, value: float) -> None:
    assert made.value(unit) == pytest.approx(value)


def test_the_median_over_the_turns() -> None:
    assert RUN.median("aprp", BY_NAME["64k"]) == pytest.approx(200.0)
    assert RUN.median("nginx", BY_NAME["64k"]) == pytest.approx(50.0)


def test_what_was_not_measured_has_no_median_and_no_ratio() -> None:
    assert RUN.median("aiohttp", BY_NAME["64k"]) is None
    assert RUN.ratio("aiohttp", BY_NAME["64k"]) is None
    assert RUN.median("aprp", BY_NAME["1k"]) is None


def test_a_ratio_is_ours_over_theirs() -> None:
    assert RUN.ratio("nginx", BY_NAME["64k"]) == pytest.approx(4.0)
    assert RUN.ratio("nginx", BY_NAME["large"]) == pytest.approx(0.5)


def test_peers_and_scenarios_stand_in_the_order_of_the_run() -> None:
    assert RUN.peers() == ["aprp", "nginx"]
    assert [scenario.name for scenario in RUN.scenarios()] == ["64k", "large"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "us/request", "-"),
        (237.6, "us/request", "238"),
        (9.876, "us/request", "9.88"),
        (0.3456, "s/GiB", "0.35"),
        (12.345, "s/GiB", "12.35"),
        (12.0, "ratio", "12.00"),
    ],
)
def test_figures(value: float | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_a_table_is_aligned_and_valid_markdown() -> None:
    assert table(["peer", "a figure"], [["nginx", "1"], ["x", "12345678901"]]) == (
        "| peer  |    a figure |\n"
        "| ----- | ----------: |\n"
        "| nginx |           1 |\n"
        "| x     | 12345678901 |"
    )


def test_the_tables_of_a_run() -> None:
    cells = [[c.strip() for c in row.split("|")[1:-1]] for row in medians_table(RUN).split("\n")]
    assert cells[2:] == [["aprp", "200", "0.50"], ["nginx", "50", "1.00"]]
    assert "100 - 900" in spread_table(RUN)
    ratios = ratio_table(RUN)
    assert ratios is not None
    assert [c.strip() for c in ratios.split("\n")[2].split("|")] == [
        *("", "aprp / nginx", "4.00", "0.50", "")
    ]


def test_no_ratio_table_without_aprp_or_without_peers() -> None:
    assert ratio_table(results(sample(1, "nginx", "64k", 1.0))) is None
    assert ratio_table(results(sample(1, "aprp", "64k", 1.0))) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(0.25, 0.25, ["met", "met"]), (0.25, 0.2, ["met", "MISSED"]), (0.27, 1, ["MISSED", "met"])],
)
def test_targets_are_met_at_their_limit(ours: float, theirs: float, expected: list[str]) -> None:
    run = results(sample(1, "aprp", "64k", ours), sample(1, "aiohttp", "64k", theirs))
    assert [line.split()[0] for line in target_lines(run)] == expected


def test_a_run_survives_json() -> None:
    assert from_json(to_json(RUN)) == RUN


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"samples": [{"turn": 1}]}'])
def test_another_file_is_no_results_file(text: str) -> None:
    with pytest.raises(BenchError, match="not a results file"):
        from_json(text)


def test_a_quick_run_says_so() -> None:
    assert "quick run" in markdown(results(sample(1, "aprp", "64k", 0.1), quick=True))
    assert "quick run" not in markdown(RUN)


def test_the_marked_place_is_rewritten_and_the_rest_stays() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = replace_between(text, "new\n")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert replace_between(once, "new") == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_without_both_marks_nothing_is_rewritten(text: str) -> None:
    with pytest.raises(BenchError, match="marks"):
        replace_between(text, "new")
