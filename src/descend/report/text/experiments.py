"""Experiments as tables of text, with bars where a picture helps."""

from __future__ import annotations

from collections.abc import Sequence

from descend.experiments.attribute.runner import Attribution, Interaction
from descend.experiments.compare.result import Comparison
from descend.experiments.estimate import Estimate
from descend.units import format_bytes, format_count, format_duration, format_percentage_points

BAR = 20
"""Characters of the longest bar."""

VERDICTS = {"first": "", "better": "significantly better", "worse": "significantly worse",
            "not told apart": "not significant"}  # fmt: skip

MIN_P = 0.001
"""Smaller p-values are not distinguished: they rest on the far tail of a distribution."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], num_text_columns: int = 1) -> str:
    """Columns aligned, the first `left` to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i < num_text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("─" * width for width in widths)
    return "\n".join([line(head), rule, *map(line, rows)])


def format_difference(value: float, ci95: tuple[float, float] | None, digits: int = 3) -> str:
    """`-0.123 [-0.150, -0.096]`."""
    text = f"{value:+.{digits}f}"
    return text if ci95 is None else f"{text} [{ci95[0]:+.{digits}f}, {ci95[1]:+.{digits}f}]"


def format_p_value(p: float | None) -> str:
    """A p-value; a dash where there is none."""
    if p is None:
        return "–"
    return f"under {MIN_P}" if p < MIN_P else f"{p:.3f}"


def bar(value: float, max_value: float) -> str:
    """A bar to the left of the middle for a gain, to the right for a harm."""
    length = round(BAR / 2 * abs(value) / max_value) if max_value else 0
    half = BAR // 2
    if value < 0:
        return " " * (half - length) + "█" * length + "│" + " " * half
    return " " * half + "│" + "█" * length + " " * (half - length)


def attribution_text(attribution: Attribution) -> str:
    """`attribute` in the terminal."""
    max_value = max(abs(contribution.value) for contribution in attribution.contributions)
    rows = [
        (
            s.change,
            format_difference(s.value, s.ci95),
            bar(s.value, max_value),
            _plain(s.effect_first),
            _plain(s.effect_last),
            format_percentage_points(s.accuracy.value),
            _time(s.seconds),
        )
        for s in attribution.contributions
    ]
    whole = (
        "total",
        format_difference(attribution.total_difference.value, attribution.total_difference.ci95),
        " " * BAR,
        "",
        "",
        format_percentage_points(attribution.total_accuracy.value),
        _time(attribution.total_seconds),
    )
    head = (
        "change",
        f"loss ({attribution.unit})",
        "better │ worse".center(BAR + 1),
        "first",
        "last",
        "accuracy",
        "time",
    )
    blocks = [table(head, [*rows, whole]), attribution.sentence]
    if attribution.interactions:
        blocks.append(describe_pairs(attribution))
    return "\n\n".join([*blocks, describe_method(attribution)])


STRONGEST = 3
"""Pairs that are named where there is no room for all."""


def describe_pairs(attribution: Attribution) -> str:
    """The strongest pairs in a sentence."""
    pairs = [
        f"{i.keys[0]} with {i.keys[1]} {i.value:+.3f}"
        + (
            ""
            if attribution.method == "exact"
            else f" ({format_count(i.sets, 'set')}{_from_to(i)})"
        )
        for i in attribution.interactions[:STRONGEST]
    ]
    return f"interaction of two changes, {pairs_method(attribution)}: {', '.join(pairs)}"


def pairs_method(attribution: Attribution) -> str:
    """What the numbers of pairs are."""
    if attribution.method == "exact":
        return f"{attribution.unit} (Shapley interaction index)"
    return f"{attribution.unit} (estimated from the sampled orders)"


def _from_to(pair: Interaction) -> str:
    if pair.sets < 2 or pair.range is None:
        return ""
    return f": {pair.range[0]:+.3f} to {pair.range[1]:+.3f}"


def describe_method(attribution: Attribution) -> str:
    """The method in a sentence."""
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
    return "" if value is None else f"{value:+.3f}"


def _time(seconds: Estimate) -> str:
    return ("-" if seconds.value < 0 else "+") + format_duration(abs(seconds.value))


AXIS = 40
"""Characters of the picture of a comparison."""


def comparison_text(comparison: Comparison) -> str:
    """`compare` in the terminal."""
    in_bits = comparison.unit == "bits per byte"
    measure = "bits/byte" if in_bits else "loss"
    rows = []
    for arm in comparison.arms:
        difference = arm.difference
        rows.append(
            (arm.name, f"{arm.validation_loss:.3f}", f"{arm.bits_per_byte:.3f}",
             f"{arm.accuracy:.1%}", format_duration(arm.seconds), format_bytes(arm.memory),
             "" if difference is None else format_difference(difference.value, difference.ci95),
             VERDICTS.get(arm.verdict, arm.verdict))
        )  # fmt: skip
    head = ("arm", "loss", "bits/byte", "accuracy", "time", "memory",
            f"difference in {measure}", "")  # fmt: skip
    blocks = [table(head, rows), dot_plot(comparison), comparison.sentence]
    if in_bits:
        blocks.append(
            "The vocabularies differ, so the configurations are compared in bits per byte."
        )
    return "\n\n".join(blocks)


def seed_losses(comparison: Comparison) -> list[list[float]]:
    """What is compared: of each arm, the loss of each seed in the unit of the differences."""
    in_bits = comparison.unit == "bits per byte"
    return [
        [s.bits_per_byte if in_bits else s.validation_loss for s in arm.seeds]
        for arm in comparison.arms
    ]  # fmt: skip


def dot_plot(comparison: Comparison) -> str:
    """A line an arm, a dot for each seed, on one axis for all."""
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
    return "\n".join([*lines, f"{' ' * width}  {ends}  {comparison.unit}, one dot per seed"])
