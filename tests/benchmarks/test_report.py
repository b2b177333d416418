"""Tables, medians, ratios and targets of the benchmark's report."""

import json

import pytest

from benchmarks import BenchError
from benchmarks.report import (
    BEGIN,
    CACHING,
    END,
    PASSING,
    Results,
    figure,
    from_json,
    markdown,
    medians_table,
    ratio_table,
    replace_between,
    spread_table,
    summary,
    table,
    target_lines,
    to_json,
)
from benchmarks.scenarios import GIB, SCENARIOS, Sample

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def sample(turn: int, peer: str, scenario: str, cpu: float, requests: int = 1000) -> Sample:
    size = GIB if scenario.endswith("large") else requests
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


def cells(text: str | None) -> list[list[str]]:
    """The cells of a table, without the line below its head."""
    assert text is not None
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.split("\n")]
    return [rows[0], *rows[2:]]


def test_the_tables_of_a_run() -> None:
    assert cells(medians_table(RUN, PASSING)) == [
        ["CPU time", "aprp", "nginx", "aprp / best other"],
        ["64 KiB ranges, µs/request", "200", "50", "4.00 (nginx)"],
        ["256 MiB ranges, s/GiB", "0.50", "1.00", "0.50 (nginx)"],
    ]
    assert cells(spread_table(RUN, PASSING))[1] == ["64 KiB ranges", "100 - 900", "40 - 60"]
    assert cells(ratio_table(RUN, PASSING)) == [
        ["ratio", "aprp / nginx"],
        ["64 KiB ranges", "4.00"],
        ["256 MiB ranges", "0.50"],
    ]


def test_no_ratios_without_aprp_or_without_peers() -> None:
    for peer in ("nginx", "aprp"):
        alone = results(sample(1, peer, "64k", 1.0))
        assert ratio_table(alone, PASSING) is None
        assert cells(medians_table(alone, PASSING))[0] == ["CPU time", peer]


CACHES = results(
    sample(1, "aprp-cache", "hit-large", 0.17),
    sample(1, "nginx-cache", "hit-large", 0.25),
    sample(1, "varnish", "hit-large", 0.20),
    sample(1, "aprp-cache", "miss-large", 0.6),
    sample(1, "nginx-cache", "miss-large", 1.0),
    sample(1, "varnish", "miss-large", 0.8),
    # The work of those that pass through is no rival of what comes from a cache.
    sample(1, "aprp", "large", 0.01),
    sample(1, "nginx", "large", 0.01),
)


def test_hits_and_misses_stand_beside_the_best_of_the_caches() -> None:
    assert cells(medians_table(CACHES, CACHING)) == [
        ["CPU time", "aprp-cache", "nginx-cache", "varnish", "aprp-cache / best other"],
        ["hits of 256 MiB, s/GiB", "0.17", "0.25", "0.20", "0.85 (varnish)"],
        ["misses of 320 MiB, stored, s/GiB", "0.60", "1.00", "0.80", "0.75 (varnish)"],
    ]
    assert cells(medians_table(CACHES, PASSING))[0] == [
        *("CPU time", "aprp", "nginx", "aprp / best other")
    ]


def test_targets_of_the_cache_are_against_the_best_or_a_named_one() -> None:
    lines = [line for line in target_lines(CACHES) if "cache" in line]
    assert lines == [
        "met    hits of 256 MiB, aprp-cache / varnish (the best other): 0.85, at most 0.85",
        "MISSED misses of 320 MiB, stored, aprp-cache / nginx-cache: 0.60, at most 0.50",
    ]


def test_the_summary_and_the_report_have_a_table_for_each_group_that_was_measured() -> None:
    for text in (summary(CACHES), markdown(CACHES)):
        assert medians_table(CACHES, PASSING) in text
        assert medians_table(CACHES, CACHING) in text
    assert CACHING.title not in summary(RUN)


def test_results_without_the_origins_account_are_still_read() -> None:
    data = json.loads(to_json(RUN))
    for made in data["samples"]:
        del made["origin_requests"], made["origin_bytes"]
    assert from_json(json.dumps(data)) == RUN


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
