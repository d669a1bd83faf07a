"""Experiments as tables of text, with bars where a picture helps."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence

from descend.experiments.attribute.attribution_result import (
    Attribution,
    ChangeContribution,
    Interaction,
)
from descend.experiments.compare.comparison_result import ArmResult, Comparison
from descend.experiments.estimate import Estimate, to_loss_reduction
from descend.units import format_count, format_duration, format_percentage_points

BAR = 20
"""Characters of the longest bar."""

SIGNIFICANT = {"first": "", "better": "better", "worse": "worse", "not significant": "no"}
"""Cells of the column that says whether a difference is significant, by the verdict."""

MIN_P = 0.001
"""Smaller p-values are not distinguished: they rest on the far tail of a distribution."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], num_text_columns: int = 1) -> str:
    """Return columns aligned, the first `num_text_columns` to the left, the others to the right.

    A heading may have several lines.
    """
    widths = _column_widths(head, rows)
    lines_by_title = [title.split("\n") for title in head]
    depth = max(map(len, lines_by_title))
    head_rows = zip(*([""] * (depth - len(lines)) + lines for lines in lines_by_title), strict=True)

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i < num_text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([*map(line, head_rows), rule, *map(line, rows)])


def _column_widths(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    titles = [max(title.split("\n"), key=len) for title in head]
    return [max(map(len, column)) for column in zip(titles, *rows, strict=True)]


def _break_title(title: str, cells: Sequence[str]) -> str:
    """Return `title` on two lines where it is wider than its cells and has more than a word."""
    ends = [i for i, character in enumerate(title, 1) if character in " _"]
    if not ends or len(title) <= max(map(len, cells), default=0):
        return title
    end = min(ends, key=lambda i: max(i, len(title) - i))
    return f"{title[:end].rstrip()}\n{title[end:]}"


def divided_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that fits the terminal: wide headings are broken where there is no room, and
    columns that still find none follow below, in tables that repeat the first column."""
    width = shutil.get_terminal_size().columns
    widths = _column_widths(head, rows)
    if sum(widths) + 2 * (len(widths) - 1) > width:
        columns = zip(*rows, strict=True)
        head = [_break_title(*pair) for pair in zip(head, columns, strict=True)]
        widths = _column_widths(head, rows)
    groups: list[list[int]] = [[0]]
    for column in range(1, len(head)):
        needed = sum(widths[i] + 2 for i in groups[-1]) + widths[column]
        if needed > width and len(groups[-1]) > 1:
            groups.append([0])
        groups[-1].append(column)
    return "\n\n".join(
        table([head[i] for i in group], [[row[i] for i in group] for row in rows])
        for group in groups
    )


def format_estimate(estimate: Estimate | None) -> str:
    """Return `+0.236 (+0.170 to +0.302)`; a dash for what the others are held against."""
    if estimate is None:
        return "–"
    return f"{estimate.value:+.3f}" + (f" ({format_ci95(estimate)})" if estimate.ci95 else "")


def format_ci95(estimate: Estimate | None) -> str:
    """Return `+0.170 to +0.302`; a dash where there is no interval."""
    if estimate is None or estimate.ci95 is None:
        return "–"
    return f"{estimate.ci95[0]:+.3f} to {estimate.ci95[1]:+.3f}"


def arm_loss_reduction(arm: ArmResult) -> Estimate | None:
    """Return the loss reduction of an arm against the first; None for the first."""
    return None if arm.difference is None else to_loss_reduction(arm.difference)


def contribution_loss_reduction(contribution: ChangeContribution) -> Estimate:
    """Return the part of a change in the loss reduction of all of them."""
    return to_loss_reduction(Estimate(contribution.value, contribution.ci95))


def format_loss_reduction(difference: float | None) -> str:
    """Return a difference of losses, new minus old, as a loss reduction: `+0.236`; a dash for
    None."""
    return "–" if difference is None else f"{0.0 - difference:+.3f}"


def format_time_difference(estimate: Estimate) -> str:
    """Return `+12 s`."""
    return f"{'+' if estimate.value >= 0 else '-'}{format_duration(abs(estimate.value))}"


def format_bracketed(estimate: Estimate) -> str:
    """Return `+0.123 [+0.096, +0.150]`."""
    ends = estimate.ci95
    text = f"{estimate.value:+.3f}"
    return text if ends is None else f"{text} [{ends[0]:+.3f}, {ends[1]:+.3f}]"


def format_accuracy(accuracy: float, bigram: float | None) -> str:
    """Return `31.0% (24.0%)`: an accuracy and that of the bigram baseline, if it is known."""
    return f"{accuracy:.1%}" + ("" if bigram is None else f" ({bigram:.1%})")


def accuracy_column_name(bigrams: Iterable[float | None]) -> str:
    """Return the heading above cells of `format_accuracy` with these accuracies of the baseline."""
    return "accuracy" if all(b is None for b in bigrams) else "accuracy (bigram)"


def format_p_value(p: float | None) -> str:
    """Return a p-value; a dash where there is none."""
    if p is None:
        return "–"
    return f"under {MIN_P}" if p < MIN_P else f"{p:.3f}"


def bar(value: float, max_value: float) -> str:
    """Return a bar to the right of the middle for a loss reduction, to the left for a harm."""
    length = round(BAR / 2 * abs(value) / max_value) if max_value else 0
    half = BAR // 2
    if value < 0:
        return " " * (half - length) + "█" * length + "│" + " " * half
    return " " * half + "│" + "█" * length + " " * (half - length)


def attribution_text(attribution: Attribution) -> str:
    """Return `attribute` in the terminal."""
    max_value = max(abs(contribution.value) for contribution in attribution.contributions)
    rows = [
        (
            s.change,
            format_bracketed(contribution_loss_reduction(s)),
            bar(0.0 - s.value, max_value),
            _plain(s.effect_first),
            _plain(s.effect_last),
            format_percentage_points(s.accuracy.value),
            format_time_difference(s.seconds),
        )
        for s in attribution.contributions
    ]
    whole = (
        "total",
        format_bracketed(to_loss_reduction(attribution.total_difference)),
        " " * BAR,
        "",
        "",
        format_percentage_points(attribution.total_accuracy.value),
        format_time_difference(attribution.total_seconds),
    )
    head = (
        "change",
        f"loss reduction ({attribution.unit})",
        "worse │ better".center(BAR + 1),
        "first",
        "last",
        "accuracy",
        "time",
    )
    blocks = [divided_table(head, [*rows, whole]), attribution.sentence]
    if attribution.interactions:
        blocks.append(describe_pairs(attribution))
    return "\n\n".join([*blocks, describe_method(attribution)])


STRONGEST = 3
"""Pairs that are named where there is no room for all."""


def describe_pairs(attribution: Attribution) -> str:
    """Return the strongest pairs in a sentence."""
    pairs = [
        f"{i.keys[0]} with {i.keys[1]} {format_loss_reduction(i.value)}"
        + (
            ""
            if attribution.method == "exact"
            else f" ({format_count(i.sets, 'set')}{_from_to(i)})"
        )
        for i in attribution.interactions[:STRONGEST]
    ]
    return f"interaction of two changes, {pairs_method(attribution)}: {', '.join(pairs)}"


def pairs_method(attribution: Attribution) -> str:
    """Return what the numbers of pairs are."""
    if attribution.method == "exact":
        return f"{attribution.unit} (Shapley interaction index)"
    return f"{attribution.unit} (estimated from the sampled orders)"


def _from_to(pair: Interaction) -> str:
    text = format_pair_range(pair)
    return f": {text}" if pair.sets > 1 and text else ""


def format_pair_range(pair: Interaction) -> str:
    """Return the least and the most loss reduction of a pair: `-0.100 to +0.050`; empty if not
    known."""
    if pair.range is None:
        return ""
    return f"{0.0 - pair.range[1]:+.3f} to {0.0 - pair.range[0]:+.3f}"


def describe_method(attribution: Attribution) -> str:
    """Return the method in a sentence."""
    seeds = format_count(len(attribution.seeds), "seed")
    orders = f"{format_count(attribution.orders, 'random order')} of the changes"
    design = "all sets of changes" if attribution.method == "exact" else orders
    data_suffix = (
        ""
        if attribution.train_fraction == 1
        else f", on {attribution.train_fraction:.0%} of the training text"
    )
    made = f"{format_count(len(attribution.runs), 'run')}: {design}, {seeds}{data_suffix}"
    if attribution.contributions[0].ci95 is None:
        return made
    made += "; brackets: 95 % CI"
    # Not corrected: the only change there is, and a record made before p-values were kept.
    if len(attribution.contributions) == 1 or attribution.contributions[0].p is None:
        return made
    return f"{made}; significance is Holm-corrected for {len(attribution.contributions)} changes"


def _plain(value: float | None) -> str:
    return "" if value is None else format_loss_reduction(value)


AXIS = 40
"""Characters of the picture of a comparison."""


def comparison_text(comparison: Comparison) -> str:
    """Return `compare` in the terminal."""
    in_bits = comparison.unit == "bits per byte"
    measure = "bits/byte" if in_bits else "loss"
    rows = []
    for arm in comparison.arms:
        reduction = arm_loss_reduction(arm)
        rows.append(
            (arm.name, f"{arm.bits_per_byte if in_bits else arm.validation_loss:.3f}",
             format_accuracy(arm.accuracy, arm.bigram_accuracy), format_duration(arm.seconds),
             "" if reduction is None else format_bracketed(reduction),
             SIGNIFICANT.get(arm.verdict, arm.verdict))
        )  # fmt: skip
    accuracy = accuracy_column_name(arm.bigram_accuracy for arm in comparison.arms)
    head = ("arm", measure, accuracy, "time", f"{measure} reduction", "significant")
    blocks = [divided_table(head, rows), dot_plot(comparison), comparison.sentence]
    if in_bits:
        blocks.append(
            "The vocabularies differ, so the configurations are compared in bits per byte."
        )
    return "\n\n".join(blocks)


def seed_losses(comparison: Comparison) -> list[list[float]]:
    """Return what is compared: of each arm, the loss of each seed in the unit of the
    differences."""
    in_bits = comparison.unit == "bits per byte"
    return [
        [s.bits_per_byte if in_bits else s.validation_loss for s in arm.seeds]
        for arm in comparison.arms
    ]  # fmt: skip


def dot_plot(comparison: Comparison) -> str:
    """Return a line an arm, a dot for each seed, on one axis for all."""
    values = seed_losses(comparison)
    low, high = min(map(min, values)), max(map(max, values))
    width = max(len(arm.name) for arm in comparison.arms)
    lines = []
    for arm, row in zip(comparison.arms, values, strict=True):
        line = ["·"] * AXIS
        for value in row:
            line[round((AXIS - 1) * (value - low) / ((high - low) or 1.0))] = "●"
        lines.append(f"{arm.name.ljust(width)}  {''.join(line)}")
    ends = f"{low:.3f}".ljust(AXIS - 5) + f"{high:.3f}"
    title = f"validation loss in {comparison.unit}, one dot per seed:"
    return "\n".join([title, *lines, f"{' ' * width}  {ends}"])
