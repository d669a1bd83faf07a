"""The chart-maker: plain data, nothing lost that matters, the same each time."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from descend.report.html.chart_labels import (
    NARROWEST_PLOT,
    legend_entries,
    place_level_labels,
    place_mark_labels,
)
from descend.report.html.chart_points import PIXELS, downsample, smooth
from descend.report.html.charts import (
    Area,
    Axis,
    Curve,
    HorizontalLine,
    IntervalBar,
    bars,
    curves,
    heatmap,
    intervals,
)

LONG = 100_000


def test_thinning_keeps_every_spike_and_both_ends() -> None:
    rng = random.Random(3)
    y = [rng.gauss(0, 1) for _ in range(LONG)]
    spikes = {1: 50.0, 777: -60.0, 50_001: 70.0, LONG - 2: -80.0}
    for place, value in spikes.items():
        y[place] = value
    x, thinned_y = downsample([float(i) for i in range(LONG)], y)
    assert len(thinned_y) <= 2 * PIXELS + 2
    assert set(spikes.values()) <= set(thinned_y)
    assert x == sorted(x)
    assert (x[0], x[-1]) == (0.0, LONG - 1.0)
    assert all(y[int(a)] == b for a, b in zip(x, thinned_y, strict=True))


def test_thin_leaves_short_curve_unchanged() -> None:
    assert downsample([1.0, 2.0], [3.0, 4.0]) == ([1.0, 2.0], [3.0, 4.0])


def test_a_running_mean_keeps_lines_and_the_beginning() -> None:
    line = [float(i) for i in range(1000)]
    assert all(abs(a - b) < 1e-9 for a, b in zip(smooth(line), line, strict=True))
    noise = [random.Random(i).gauss(0, 1) for i in range(1000)]
    assert max(smooth(noise)[100:-100]) < max(noise) / 3
    steep = [10.0] + [1.0] * 999
    assert smooth(steep)[0] == 10.0
    assert smooth(steep)[20] == 1.0


def option() -> dict[str, Any]:
    return curves(
        [Curve("a", [0, 1, 2], [0.0, 1.23456789, 100.0], "@accent"),
         Curve("a", [0, 1, 2], [1.0, 1.0, 1.0], "@accent", "raw")],
        Axis("epochs"), Axis("norm", log=True),
        areas=[Area("band", (0, 1), (2, 3))], levels=[HorizontalLine("usual", 0.001)],
    )  # fmt: skip


def test_figure_options_are_deterministic_json() -> None:
    made = [
        option(),
        bars(["x", "y"], [1.0, 2.0], Axis("tokens"), lying=True, strong=1),
        intervals([IntervalBar("b", 0.1, -0.1, 0.3)], Axis("nats")),
        heatmap(["r"], ["c", "d"], [[0.5, None]]),
    ]
    for one in made:
        assert json.loads(json.dumps(one, allow_nan=False)) == one
    assert option() == option()


def test_numbers_are_drawn_as_they_are() -> None:
    lines = {s["lineStyle"].get("opacity"): s["data"] for s in option()["series"][:2]}
    # Four significant digits; a log axis has no place for zero.
    assert lines[None] == [[0.0, None], [1.0, 1.235], [2.0, 100.0]]
    field, level = option()["series"][2:]
    assert field["markArea"]["data"] == [[{"coord": [0, 2]}, {"coord": [1, 3]}]]
    assert [(x["name"], x["yAxis"]) for x in level["markLine"]["data"]] == [("usual", 0.001)]
    # Two lines of one name are one entry.
    assert [(x.name, x.shape) for x in legend_entries(option())] == [
        ("a", "line"),
        ("band", "area"),
    ]
    assert heatmap(["r"], ["c", "d"], [[0.5, None]])["series"][0]["data"] == [[0, 0, 0.5]]


def test_level_words_stand_where_the_curve_is_far() -> None:
    down, up = [(1.0, 6.0), (2.0, 5.0), (4.0, 3.0)], [(1.0, 3.0), (2.0, 4.0), (4.0, 6.0)]
    assert place_level_labels([3.0], down, log=False) == ["insideStartTop"]
    assert place_level_labels([3.0], up, log=False) == ["insideEndTop"]


def test_close_levels_are_named_on_both_sides() -> None:
    def sides(levels: list[float], points: list[tuple[float, float]], log: bool) -> list[str]:
        return [p.removeprefix("insideStart").removeprefix("insideEnd")
                for p in place_level_labels(levels, points, log)]  # fmt: skip

    points = [(0.0, 7.0), (4.0, 1.0)]
    assert sides([3.0, 2.8], points, log=False) == ["Top", "Bottom"]
    assert sides([2.8, 3.0], points, log=False) == ["Bottom", "Top"]
    assert sides([6.0, 3.0], points, log=False) == ["Top", "Top"]
    steep = [(0.0, 1e-3), (4.0, 1e3)]
    assert sides([30.0, 1.0], steep, log=True) == ["Top", "Top"]
    assert sides([30.0, 1.0], steep, log=False) == ["Top", "Bottom"]


def test_mark_words_never_overlap_and_never_leave_the_plot() -> None:
    marks = [("warmup ends", 0.1), ("best epoch", 0.3), ("1–3", 0.35), ("rate falls", 5.9)]
    labels = place_mark_labels(marks, 0.0, 6.0)
    assert [label.row for label in labels] == [0, 1, 2, 0]
    assert [label.is_left for label in labels] == [False, False, False, True]
    # Twenty at one place: some lines stay without words rather than hide others.
    crowd = place_mark_labels([("rate 0.001", 3.0)] * 20, 0.0, 6.0)
    assert sorted({label.row for label in crowd}) == [-1, 0, 1, 2, 3]
    assert NARROWEST_PLOT < 390


def test_log_axis_ends_at_powers_of_ten_around_the_data() -> None:
    made = curves([Curve("a", [1, 2], [0.2, 6e9], "@accent")], Axis("x"), Axis("y", log=True))
    assert (made["yAxis"]["min"], made["yAxis"]["max"]) == (0.1, 1e10)


def test_bars_begin_at_zero() -> None:
    assert bars(["x", "y"], [5.0, 6.0], Axis("gain"), lying=True)["xAxis"]["scale"] is False


def test_integer_axis_has_only_integer_ticks() -> None:
    made = curves([Curve("a", [1, 2], [0.0, 1.0], "@accent")], Axis("trial", whole=True), Axis("y"))
    assert made["xAxis"]["minInterval"] == 1
    assert "minInterval" not in made["yAxis"]


def test_the_strong_bar_is_set_apart() -> None:
    made = bars(["x", "y", "z"], [1.0, 2.0, 3.0], Axis("tokens"), strong=1)
    colours = [item["itemStyle"]["color"] for item in made["series"][0]["data"]]
    assert colours[0] == colours[2] != colours[1]


def test_interval_figure_extends_from_low_to_high() -> None:
    made = intervals(
        [IntervalBar("a", 0.5, 0.25, 0.75), IntervalBar("b", -1.0, -2.0, 0.0)], Axis("nats")
    )
    whiskers = [s["data"] for s in made["series"] if s["type"] == "line" and s["data"]]
    assert whiskers == [[[0.25, 0], [0.75, 0]], [[-2.0, 1], [0.0, 1]]]
    assert made["yAxis"]["data"] == ["a", "b"]
    assert all(math.isfinite(x) for data in whiskers for x, _ in data)
