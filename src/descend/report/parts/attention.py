"""Where the heads look: a small picture of each, one of them large, and means as a table."""

from __future__ import annotations

from descend.report.figures import Option, heat
from descend.report.look import Look
from descend.report.page import Column, Figure, Paragraph, Picture, Pictures, Section, Table
from descend.report.pieces import marked, shown_pieces
from descend.report.shades import shade_address
from descend.signals.attention import Gaze, Weights, attention_weights, gazes

TOKENS = 24
"""Of the passage: as many as can be read beside a square on a telephone."""

MOST_LARGE = 12
"""Heads that can be looked at large; each adds about 3 kB to the report."""


def attention(look: Look) -> Section | None:
    """One held-out passage through every head."""
    ids = look.found.targets[look.windows // 2][:TOKENS]
    if len(ids) < 3:
        return None
    weights = attention_weights(look.model, ids)
    found = gazes(weights)
    names = _names(look, ids.tolist())
    shown = sorted(found, key=lambda g: -g.distance)[:MOST_LARGE]
    shown.sort(key=lambda g: (g.layer, g.head))
    choices = {_name(g): _large(weights, g, names) for g in shown}
    layers, heads = weights.shape[:2]
    return Section("attention", "Where it looks", (
        Paragraph(
            "Attention is how a token gathers from the tokens before it. Each square is one head "
            "reading the same held-out words: a row is a token, a dark dot in it the token it "
            "looks at, the diagonal itself. The words: " + "".join(
                t for t, _ in shown_pieces(look.store.tokenizer, ids.tolist())
            ).strip().replace("\n", " ↵ ")
        ),
        Pictures(tuple(
            Picture(_name(g), shade_address(weights[g.layer - 1, g.head - 1]), _words(g))
            for g in found
        ), columns=min(heads, 8)),
        Figure("One head, with its words", "The attention of one head as a square of shades; the "
               "table below says of every head where it looks.",
               next(iter(choices.values())), choices, height=420, square=True),
        gaze_table(found, layers * heads),
    ))  # fmt: skip


def _names(look: Look, ids: list[int]) -> list[str]:
    names = [""] * len(ids)
    for text, places in shown_pieces(look.store.tokenizer, ids):
        for place in places:
            names[place] = marked(text)
    return names


def _large(weights: Weights, gaze: Gaze, names: list[str]) -> Option:
    square = weights[gaze.layer - 1, gaze.head - 1]
    values = [
        [float(square[t, s]) if s <= t else None for s in range(len(names))]
        for t in range(len(names))
    ]
    numbered = [f"{name} {n}" for n, name in enumerate(names, 1)]
    return heat(numbered, numbered, values)


def _name(gaze: Gaze) -> str:
    return f"layer {gaze.layer}, head {gaze.head}"


def _words(gaze: Gaze) -> str:
    return (
        f"{_name(gaze)} looks {gaze.distance:.1f} tokens back on average, {gaze.on_itself:.0%} at "
        f"the token itself"
    )


def gaze_table(found: list[Gaze], count: int) -> Table:
    """Means over the passage, a row a head."""
    rows = tuple(
        (
            _name(g), f"{g.distance:.1f}", f"{g.on_itself:.0%}", f"{g.on_the_one_before:.0%}",
            f"{g.on_the_first:.0%}", f"{g.choice:.1f}",
        )
        for g in found
    )  # fmt: skip
    columns = (
        Column("head", False), Column("tokens back"), Column("on itself"),
        Column("on the one before"), Column("on the first"), Column("spread over tokens"),
    )  # fmt: skip
    return Table(f"Where each of the {count} heads looks", columns, rows, folded=True)
