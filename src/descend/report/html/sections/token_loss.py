"""Where the model is surprised: in the text, by position, by token."""

from __future__ import annotations

import math

import numpy as np

from descend.metrics.loss_breakdown import loss_by_frequency, loss_by_position
from descend.report.html.charts import Axis, Curve, bars, curves
from descend.report.html.model_inspection import ModelInspection, token_counts
from descend.report.html.report_page import (
    LEVELS,
    Figure,
    Paragraph,
    ReportBlock,
    ReportTable,
    Section,
    ShadedText,
    ShadedToken,
    ShadeLegend,
    number_columns,
    word_columns,
)
from descend.report.html.token_text import mark_whitespace, tokens_to_text

SEGMENT_TOKENS = 256
"""Tokens of validation text shown in shades, over the passages."""

NUM_HIGHEST_LOSS_TOKENS = 15
"""Tokens shown of those that cost the most."""

NATS_PER_SHADE = 1.25
"""Width of a shade: the last of them begins where the model gave the token 1 in 1,800."""


def token_loss_section(look: ModelInspection) -> Section:
    """Return the validation text in shades, and what its shades add up to."""
    blocks: list[ReportBlock] = [
        Paragraph(
            "Validation text. The stronger the color behind a token, the less the model expected "
            "it. Tokens without color were predicted well."
        )
    ]
    count = max(1, round(SEGMENT_TOKENS / look.token_losses.losses.shape[1]))
    rows = np.unique(np.linspace(0, look.windows - 1, count).astype(int))
    blocks += [shade_segment(look, int(row)) for row in rows]
    blocks.append(ShadeLegend(scale()))
    blocks += [_position_figure(look), _position_table(look)]
    blocks += [_frequency_figure(look), highest_loss_tokens_table(look)]
    return Section(
        "surprise", "Where it is surprised", tuple(blocks),
        teaser="each word of a passage, by position, by frequency",
    )  # fmt: skip


def shade_segment(look: ModelInspection, row: int) -> ShadedText:
    """Window `row` in shades."""
    ids = look.token_losses.targets[row][:SEGMENT_TOKENS].tolist()
    losses = look.token_losses.losses[row]
    shaded_tokens = []
    for text, positions in tokens_to_text(look.store.tokenizer, ids):
        nats = float(sum(losses[p] for p in positions))
        level = min(LEVELS - 1, int(nats / NATS_PER_SHADE))
        hint = f"{nats:.2f} nats: expected with {_format_probability(nats)}"
        shaded_tokens.append(ShadedToken(text.replace("\n", "↵\n"), level, hint))
    return ShadedText(tuple(shaded_tokens))


def scale() -> tuple[str, ...]:
    """Return what each shade means: the chance the model gave to the token."""
    return tuple(
        f"{_format_probability(level * NATS_PER_SHADE)} or less" if level else "more than "
        + _format_probability(NATS_PER_SHADE)
        for level in range(LEVELS)
    )  # fmt: skip


def _format_probability(nats: float) -> str:
    probability = math.exp(-nats)
    return (
        f"{probability:.0%}" if probability >= 0.095 else f"1 in {1 / max(probability, 1e-12):,.0f}"
    )


def _position_figure(look: ModelInspection) -> Figure:
    losses = look.token_losses.losses.mean(0).astype(float).tolist()
    bands = loss_by_position(look.token_losses)
    # An octave is drawn at its middle, as the axis measures it.
    middles = [math.sqrt(b.low * (b.high - 1)) for b in bands]
    return Figure(
        "Loss by position: how much the text before it helps",
        f"Loss by the number of tokens read before: {bands[0].loss:.2f} after one token, "
        f"{bands[-1].loss:.2f} after {_span(bands[-1].low, bands[-1].high)}. The table below has "
        "it in numbers.",
        curves(
            [Curve("each position", [float(n) for n in range(1, len(losses) + 1)], losses,
                   "@calm", "raw"),
             Curve("smoothed", middles, [b.loss for b in bands], "@accent", "points")],
            Axis("tokens read before", min_value=1, max_value=len(losses), log=True),
            Axis("nats per token"),
        ),
        height=260,
    )  # fmt: skip


def _position_table(look: ModelInspection) -> ReportTable:
    rows = tuple(
        (_span(b.low, b.high), f"{b.loss:.3f}", f"{b.tokens:,}")
        for b in loss_by_position(look.token_losses)
    )
    columns = word_columns("tokens read before") + number_columns(
        "loss, nats per token", "tokens evaluated"
    )
    return ReportTable("Loss by position", columns, rows, folded=True)


def _span(low: int, high: int) -> str:
    return f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}"


def _frequency_figure(look: ModelInspection) -> Figure:
    bands = loss_by_frequency(look.token_losses, token_counts(look.store))
    names = [_span(b.low, b.high) for b in bands]
    description = "; ".join(f"{n} times {b.loss:.2f}" for n, b in zip(names, bands, strict=True))
    return Figure(
        "Loss by how often the token occurs in the training text, nats per token",
        f"Bars: {description}.",
        bars(
            names,
            [b.loss for b in bands],
            Axis("nats per token", min_value=0),
            name_axis="times in the training text",
        ),
        height=240,
    )


def highest_loss_tokens_table(look: ModelInspection) -> ReportTable:
    """Return the tokens that make up most of the loss: frequent and hard to foresee."""
    targets, losses = (
        look.token_losses.targets.ravel(),
        look.token_losses.losses.ravel().astype(np.float64),
    )
    size = look.store.tokenizer.vocab_size
    total = np.bincount(targets, losses, minlength=size)
    count = np.bincount(targets, minlength=size)
    hits = np.bincount(targets, look.token_losses.is_correct.ravel(), minlength=size)
    top = [int(i) for i in np.argsort(-total, kind="stable")[:NUM_HIGHEST_LOSS_TOKENS] if count[i]]
    rows = tuple(
        (
            mark_whitespace(next(tokens_to_text(look.store.tokenizer, [i]))[0]),
            f"{total[i] / losses.sum():.1%}",
            f"{total[i] / count[i]:.2f}", f"{hits[i] / count[i]:.0%}", f"{count[i]:,}",
        )
        for i in top
    )  # fmt: skip
    columns = word_columns("token") + number_columns(
        "share of all loss", "its mean loss", "predicted correctly", "times evaluated"
    )
    return ReportTable(
        "The tokens with the highest loss (␣ a space, ↵ a line's end)", columns, rows, folded=True
    )
