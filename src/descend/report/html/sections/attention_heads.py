"""Where the heads look: a small picture of each, one of them large, and means as a table."""

from __future__ import annotations

from descend.metrics.attention import (
    HeadAttentionPattern,
    Weights,
    attention_weights,
    head_attention_patterns,
)
from descend.report.html.charts import Option, heatmap
from descend.report.html.model_inspection import ModelInspection
from descend.report.html.png import png_data_uri
from descend.report.html.report_page import (
    Figure,
    Paragraph,
    Picture,
    Pictures,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.html.token_text import mark_whitespace, tokens_to_text

TOKENS = 24
"""Of the passage: as many as can be read beside a square on a telephone."""

MAX_LARGE = 12
"""Heads that can be looked at large; each adds about 3 kB to the report."""


def attention_section(look: ModelInspection) -> Section | None:
    """Show one passage of validation text through every head."""
    ids = look.token_losses.targets[look.windows // 2][:TOKENS]
    if len(ids) < 3:
        return None
    weights = attention_weights(look.model, ids)
    patterns = head_attention_patterns(weights)
    names = _names(look, ids.tolist())
    listed_patterns = sorted(patterns, key=lambda g: -g.mean_distance)[:MAX_LARGE]
    listed_patterns.sort(key=lambda g: (g.layer, g.head))
    choices = {_name(g): _large(weights, g, names) for g in listed_patterns}
    layers, heads = weights.shape[:2]
    return Section("attention", "Where it looks", (
        Paragraph(
            "Attention is how a token gathers from the tokens before it. Each square is one head "
            "reading the same validation text: a row is a token, the strongest color in it the "
            "token it looks at, the diagonal itself. The words: " + "".join(
                t for t, _ in tokens_to_text(look.store.tokenizer, ids.tolist())
            ).strip().replace("\n", " ↵ ")
        ),
        Pictures(tuple(
            Picture(_name(g), png_data_uri(weights[g.layer - 1, g.head - 1]), _describe_pattern(g))
            for g in patterns
        ), columns=min(heads, 8)),
        Figure("One head, with its words", "The attention of one head as a square of shades; the "
               "table below says where each head attends.",
               next(iter(choices.values())), choices, height=420, square=True),
        attention_pattern_table(patterns, layers * heads),
    ), teaser="a picture of each attention head")  # fmt: skip


def _names(look: ModelInspection, ids: list[int]) -> list[str]:
    names = [""] * len(ids)
    for text, positions in tokens_to_text(look.store.tokenizer, ids):
        for position in positions:
            names[position] = mark_whitespace(text)
    return names


def _large(weights: Weights, pattern: HeadAttentionPattern, names: list[str]) -> Option:
    square = weights[pattern.layer - 1, pattern.head - 1]
    values = [
        [float(square[t, s]) if s <= t else None for s in range(len(names))]
        for t in range(len(names))
    ]
    numbered = [f"{name} {n}" for n, name in enumerate(names, 1)]
    return heatmap(numbered, numbered, values)


def _name(pattern: HeadAttentionPattern) -> str:
    return f"layer {pattern.layer}, head {pattern.head}"


def _describe_pattern(pattern: HeadAttentionPattern) -> str:
    return (
        f"{_name(pattern)} looks {pattern.mean_distance:.1f} tokens back on average,"
        f" {pattern.self_weight:.0%} at the token itself"
    )


def attention_pattern_table(patterns: list[HeadAttentionPattern], count: int) -> ReportTable:
    """Means over the passage, a row a head."""
    rows = tuple(
        (
            _name(g),
            f"{g.mean_distance:.1f}",
            f"{g.self_weight:.0%}",
            f"{g.previous_token_weight:.0%}",
            f"{g.first_token_weight:.0%}",
            f"{g.effective_positions:.1f}",
        )
        for g in patterns
    )
    columns = word_columns("head") + number_columns(
        "tokens back", "on itself", "on the one before", "on the first", "spread over tokens"
    )
    return ReportTable(f"Where each of the {count} heads looks", columns, rows, folded=True)
