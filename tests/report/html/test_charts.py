"""The chart-maker: plain data, nothing lost that matters, the same each time."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from descend.report.html.charts import (
    PIXELS,
    Area,
    Axis,
    Curve,
    HorizontalLine,
    IntervalBar,
    VerticalLine,
    bars,
    curves,
    downsample,
    heatmap,
    intervals,
    smooth,
)

LONG = 100_000


def test_thinning_keeps_every_spike_and_both_ends() -> None:
    pick = random.Random(3)
    y = [pick.gauss(0, 1) for _ in range(LONG)]
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
    assert level["markLine"]["data"] == [{"name": "usual", "yAxis": 0.001}]
    # Two lines of one name are one entry.
    assert option()["legend"]["data"] == ["a", "band"]
    assert heatmap(["r"], ["c", "d"], [[0.5, None]])["series"][0]["data"] == [[0, 0, 0.5]]


def test_words_stand_where_no_marked_point_is() -> None:
    def drawn(y: list[float]) -> list[dict[str, Any]]:
        made = curves([Curve("held-out", [1, 2, 3, 4], y, "@accent", "points")], Axis("epochs"),
                      Axis("nats"), levels=[HorizontalLine("pairs", 3.0)],
                      marks=[VerticalLine("best", 4)])  # fmt: skip
        return [s for s in made["series"] if "markLine" in s]

    def places(y: list[float]) -> list[str]:
        return [s["markLine"]["data"][0].get("label", {}).get(
            "position", s["markLine"]["label"].get("position")) for s in drawn(y)]  # fmt: skip

    # A curve that comes down to the level, and one that leaves it upwards.
    assert places([6.0, 5.0, 4.0, 3.0]) == ["insideStartTop", "insideEndTop"]
    assert places([3.0, 4.0, 5.0, 6.0]) == ["insideEndTop", "insideStartTop"]
    # Should words and points meet all the same, the points are drawn above them.
    dots = curves([Curve("held-out", [1], [2.0], "@accent", "points")], Axis("e"), Axis("n"))
    assert all(s["z"] < dots["series"][0]["z"] for s in drawn([3.0, 3.0, 3.0, 3.0]))


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
