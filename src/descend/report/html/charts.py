"""The one chart-maker: numbers into plain dicts of ECharts options.

Colours are names (`@accent`), which the page puts into the colours of its light or dark dress.
Everything else is plain JSON: no function, no date of today, so that the same numbers give the
same dict. Nothing is animated: a report is read, not watched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from descend.report.html.chart_labels import MarkLabel, place_level_labels, place_mark_labels
from descend.report.html.chart_points import downsample

Option = dict[str, Any]
LineStyle = Literal["raw", "line", "points", "dots", "guide"]

SERIES = ("@accent", "@second", "@calm", "@fourth", "@fifth", "@sixth")
"""Colours of lines that have no meaning of their own."""

DARKEST = 0.5
"""Fraction of attention from which a square is as dark as it gets: few heads ever give more."""

NAMES = 150
"""Pixels for long names beside a figure, broken into lines: on a telephone more than half is left
for the figure."""

MARK_ROW = 15
"""CSS pixels of a row of words above a plot."""

DIGITS = 4
"""Significant digits of a drawn number."""


@dataclass(frozen=True)
class Curve:
    """Points of one line. `dress` says how it is drawn: `raw` pale and thin behind the
    smooth `line` of the same name, `points` with its points marked, `dots` as points alone, `guide`
    dashed and grey."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dress: LineStyle = "line"


@dataclass(frozen=True)
class Area:
    """A shaded field and the words in it."""

    name: str
    x: tuple[float, float]
    y: tuple[float, float]


@dataclass(frozen=True)
class HorizontalLine:
    """A horizontal line to hold a curve against."""

    name: str
    y: float


@dataclass(frozen=True)
class VerticalLine:
    """A vertical line where something happened, named above the figure; `is_alert` for what should
    not have."""

    name: str
    x: float
    is_alert: bool = False


@dataclass(frozen=True)
class Axis:
    """What is measured along it, in which unit."""

    name: str
    log: bool = False
    min_value: float | None = None
    max_value: float | None = None
    whole: bool = False
    """Whether nothing lies between whole numbers."""


def curves(
    lines: Sequence[Curve],
    x_axis: Axis,
    y_axis: Axis,
    *,
    areas: Sequence[Area] = (),
    levels: Sequence[HorizontalLine] = (),
    marks: Sequence[VerticalLine] = (),
) -> Option:
    """Return lines over a common axis, with the fields, levels and marks that they are held
    against. A line without points is left out, and so are the levels if no other is there."""
    lines = [line for line in lines if len(line.x)]
    series = [_line(line, y_axis.log) for line in lines]
    if areas:
        series.append(_areas(areas))
    if y_axis.log:
        heights = [*(y for line in lines for y in line.y), *(y for area in areas for y in area.y)]
        y_axis = _whole_decades(y_axis, [*heights, *(level.y for level in levels)])
    if levels and lines:
        series.append(_levels(levels, lines, y_axis.log))
    x = [x for line in lines for x in line.x]
    labels = place_mark_labels(
        [(mark.name, mark.x) for mark in marks],
        min(x, default=0.0) if x_axis.min_value is None else x_axis.min_value,
        max(x, default=1.0) if x_axis.max_value is None else x_axis.max_value,
    )
    if marks:
        series.append(_marks(marks, labels))
    rows = 1 + max((label.row for label in labels), default=-1)
    return _base(top=14 + MARK_ROW * rows) | {
        "xAxis": _axis(x_axis, middle=True),
        "yAxis": _axis(y_axis),
        "tooltip": {"trigger": "axis"},
        "series": series,
    }


def _whole_decades(axis: Axis, heights: Sequence[float]) -> Axis:
    """Return a log axis from one power of ten to another: left to itself it may begin far below."""
    finite = [math.log10(y) for y in heights if y > 0 and math.isfinite(y)] or [0.0]
    low = 10.0 ** math.floor(min(finite)) if axis.min_value is None else axis.min_value
    high = 10.0 ** math.ceil(max(finite)) if axis.max_value is None else axis.max_value
    return replace(axis, min_value=low, max_value=high if high > low else 10 * low)


def _line(line: Curve, log: bool) -> Option:
    x, y = downsample(line.x, line.y)
    # ECharts draws a gap for null: a log axis has no place for zero.
    data = [[_round(a), None if log and b <= 0 else _round(b)] for a, b in zip(x, y, strict=True)]
    width = {"raw": 1, "line": 2, "points": 2.5, "dots": 0, "guide": 1.5}[line.dress]
    style: Option = {"width": width, "color": line.colour}
    if line.dress == "raw":
        style["opacity"] = 0.4
    if line.dress == "guide":
        style["type"] = "dashed"
    return {
        "type": "line", "name": line.name, "data": data, "lineStyle": style,
        "itemStyle": {"color": line.colour}, "showSymbol": line.dress in ("points", "dots"),
        "symbol": "circle", "symbolSize": 7, "silent": line.dress == "raw",
        "tooltip": {"show": line.dress != "raw"},
        "z": {"raw": 2, "line": 3, "points": 4, "dots": 4, "guide": 2}[line.dress],
    }  # fmt: skip


def _areas(areas: Sequence[Area]) -> Option:
    """Return a series of its own, so that the fields have a name in the legend."""
    corners = [[a.x[n], a.y[n]] for a in areas for n in (0, 1)]
    return _invisible_series(areas[0].name, corners) | {
        "itemStyle": {"color": "@band"}, "z": 1,
        "markArea": {
            "silent": True, "itemStyle": {"color": "@band"},
            "data": [
                [{"coord": [a.x[0], a.y[0]]}, {"coord": [a.x[1], a.y[1]]}] for a in areas
            ],
        },
    }  # fmt: skip


def _levels(levels: Sequence[HorizontalLine], lines: Sequence[Curve], log: bool) -> Option:
    positions = place_level_labels([level.y for level in levels], _obstacle_points(lines), log)
    data = [
        {"name": level.name, "yAxis": _round(level.y), "label": {"position": position}}
        for level, position in zip(levels, positions, strict=True)
    ]
    return _invisible_series("", [[_round(lines[0].x[0]), _round(level.y)] for level in levels]) | {
        "z": 3,
        "markLine": {
            "silent": True, "symbol": "none", "precision": 12,
            "lineStyle": {"color": "@quiet", "type": "dashed", "width": 1},
            "label": {"formatter": "{b}", "color": "@quiet"} | _HALO,
            "data": data,
        },
    }  # fmt: skip


def _obstacle_points(lines: Sequence[Curve]) -> list[tuple[float, float]]:
    """Return the points that words must not cover: those that are marked, or of all curves."""
    marked = [line for line in lines if line.dress == "points"] or lines
    return sorted(point for line in marked for point in zip(line.x, line.y, strict=True))


def _marks(marks: Sequence[VerticalLine], labels: Sequence[MarkLabel]) -> Option:
    data: list[Option] = []
    for mark, label in zip(marks, labels, strict=True):
        colour = "@sixth" if mark.is_alert else "@quiet"
        data.append({
            "name": mark.name, "xAxis": _round(mark.x),
            "lineStyle": {"color": colour, "type": "solid" if mark.is_alert else "dotted"},
            "label": {
                "show": label.row >= 0, "color": colour,
                "align": "right" if label.is_left else "left", "offset": [0, -MARK_ROW * label.row],
            },
        })  # fmt: skip
    return _invisible_series("", []) | {
        "z": 3,  # below marked points, which no words must hide
        "markLine": {
            "silent": True, "symbol": "none", "lineStyle": {"width": 1},
            "label": {"formatter": "{b}", "position": "end"} | _HALO, "data": data,
        },
    }  # fmt: skip


_HALO = {"fontSize": 11, "textBorderColor": "@paper", "textBorderWidth": 3}
"""Keeps words readable where a line runs behind them."""


def _invisible_series(name: str, data: list[list[float]]) -> Option:
    """Return a series that is there for what it carries; the axes reach as far as its `data`."""
    return {
        "type": "line", "name": name, "data": data, "showSymbol": False, "silent": True,
        "lineStyle": {"opacity": 0}, "tooltip": {"show": False},
    }  # fmt: skip


_WRAPPED = {"width": NAMES, "overflow": "break", "lineHeight": 14, "interval": 0}
"""Long names beside a figure."""

BETTER = "better →"
"""Ends the name of an axis that compares: right of zero is always a gain."""


def bars(
    names: Sequence[str],
    values: Sequence[float],
    axis: Axis,
    *,
    name_axis: str = "",
    lying: bool = False,
    strong: int | None = None,
) -> Option:
    """Return a bar a name; `lying` for long names, the first on top; `strong` is set apart by
    colour."""
    data: list[Option] = [{"value": _round(v)} for v in values]
    for number, item in enumerate(data):
        item["itemStyle"] = {"color": "@accent" if strong in (None, number) else "@calm"}
    category: Option = {
        "type": "category", "data": list(names), "name": name_axis, "inverse": lying,
        "nameLocation": "middle", "nameGap": 26, "axisTick": {"show": False},
        "axisLabel": _WRAPPED if lying else {"hideOverlap": True},
    }  # fmt: skip
    value = _axis(axis, middle=lying) | {"scale": False}  # a bar begins at zero
    return _base(right=56 if lying else 20) | {
        "xAxis": value if lying else category,
        "yAxis": category if lying else value,
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "series": [{
            "type": "bar", "name": axis.name, "data": data, "barCategoryGap": "35%",
            "label": {"show": lying, "position": "right", "color": "@ink", "formatter": "{c}"},
        }],
    }  # fmt: skip


@dataclass(frozen=True)
class IntervalBar:
    """A value with its interval."""

    name: str
    value: float
    low: float
    high: float


def intervals(spans: Sequence[IntervalBar], axis: Axis) -> Option:
    """Return a point and its interval a name, the first on top, around a line at zero.

    The interval is two stacked bars, the first of them not seen: ECharts has no other that is
    plain data.
    """
    line: Option = {
        "type": "line", "name": "", "data": [], "markLine": {
            "silent": True, "symbol": "none", "label": {"show": False},
            "lineStyle": {"color": "@quiet", "type": "solid", "width": 1}, "data": [{"xAxis": 0}],
        },
    }  # fmt: skip
    points = {
        "type": "scatter", "name": axis.name, "symbolSize": 10, "itemStyle": {"color": "@accent"},
        "data": [[_round(s.value), n] for n, s in enumerate(spans)], "z": 4,
    }  # fmt: skip
    whiskers = [
        {
            "type": "line", "name": "", "showSymbol": False, "silent": True, "z": 3,
            "lineStyle": {"color": "@accent", "width": 3, "opacity": 0.45},
            "data": [[_round(s.low), n], [_round(s.high), n]],
        }
        for n, s in enumerate(spans)
    ]  # fmt: skip
    return _base() | {
        "xAxis": _axis(axis, middle=True) | {"scale": False},  # zero is what they are held against
        "yAxis": {
            "type": "category", "data": [_unbroken(s.name) for s in spans], "inverse": True,
            "axisTick": {"show": False},
            "axisLabel": _WRAPPED,
        },
        "tooltip": {"trigger": "item"},
        "series": [*whiskers, points, line],
    }  # fmt: skip


def _unbroken(name: str) -> str:
    """Return `name` with its thousands set apart by a narrow space: ECharts would break at a
    comma."""
    return re.sub(r"(?<=\d),(?=\d{3})", "\u202f", name)


def heatmap(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float | None]]
) -> Option:
    """Return a square of shades from 0 to `DARKEST`; None is left blank. The first row is on
    top."""
    data = [
        [column, row, round(value, 2)]
        for row, line in enumerate(values)
        for column, value in enumerate(line)
        if value is not None
    ]
    label = {"interval": 0, "fontSize": 10, "fontFamily": "monospace"}
    axis = {"type": "category", "axisTick": {"show": False}, "splitLine": {"show": False}}
    return _base() | {
        "xAxis": axis | {
            "data": list(columns), "position": "top", "axisLabel": label | {"rotate": 90},
        },
        "yAxis": axis | {"data": list(rows), "inverse": True, "axisLabel": label},
        "tooltip": {"trigger": "item"},
        "visualMap": {
            "show": False, "min": 0, "max": DARKEST, "inRange": {"color": ["@paper", "@accent"]},
        },
        "series": [{"type": "heatmap", "name": "share of attention", "data": data}],
    }  # fmt: skip


def _base(top: int = 14, right: int = 30, bottom: int = 28) -> Option:
    return {
        "animation": False,
        "grid": {"left": 8, "right": right, "top": top, "bottom": bottom, "containLabel": True},
        "aria": {"enabled": False},  # the page gives each figure its own words
    }


def _axis(axis: Axis, middle: bool = False) -> Option:
    option: Option = {
        "type": "log" if axis.log else "value", "name": axis.name, "scale": True,
        "nameLocation": "middle" if middle else "end", "nameGap": 28 if middle else 14,
        "splitNumber": 5, "axisLabel": {"hideOverlap": True},
    }  # fmt: skip
    if middle:  # else a wide first number touches the lowest one of the axis beside it
        option |= {"axisLabel": {"hideOverlap": True, "margin": 13}, "nameGap": 32}
    else:
        option["nameTextStyle"] = {"align": "left"}
        option["name"] = ""  # said above the figure: beside a narrow axis it would be cut off
    if axis.whole:
        option["minInterval"] = 1
    if axis.min_value is not None:
        option["min"] = axis.min_value
    if axis.max_value is not None:
        option["max"] = axis.max_value
    return option


def _round(value: float) -> float:
    """To `DIGITS` significant digits: the payload of a curve halves and no eye sees it."""
    if not value or not math.isfinite(value):
        return 0.0
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))
