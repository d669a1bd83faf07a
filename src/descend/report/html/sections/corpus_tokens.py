"""The text and the tokens it was cut into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from descend.data.token_store import TokenStore
from descend.report.html.charts import Axis, Curve, bars, curves
from descend.report.html.model_inspection import token_counts
from descend.report.html.report_page import (
    Fact,
    Facts,
    Figure,
    Paragraph,
    ReportBlock,
    ReportTable,
    Section,
    number_columns,
    word_columns,
)
from descend.report.html.token_text import mark_whitespace, tokens_to_text
from descend.runs.recorded_run import RecordedRun
from descend.units import describe_split_method, format_bytes, format_count

FREQUENT = 15


def corpus_section(run: RecordedRun, store: TokenStore | None) -> Section:
    """Return sizes of the text, and how often its tokens are used where the text is at hand."""
    of, info = run.corpus_count, run.metadata.corpus
    blocks: list[ReportBlock] = [
        Paragraph(
            f"{info['corpus']}: {format_count(of('documents'), 'document')}, split by"
            f" {describe_split_method(info['split_by'])}."
            f" {_contamination(float(info['contamination_fraction']))}"
        ),
        Facts(
            (
                Fact(
                    "training text",
                    format_bytes(of("train_bytes")),
                    f"{of('train_tokens'):,} tokens",
                ),
                Fact(
                    "validation text",
                    format_bytes(of("validation_bytes")),
                    f"{of('validation_tokens'):,} tokens",
                ),
                Fact("vocabulary", f"{of('vocab_size'):,}", f"{run.config.tokenizer} tokens"),
                Fact(
                    "a token has on average",
                    f"{run.bytes_per_token:.2f}",
                    "bytes of validation text",
                ),
            )
        ),
    ]
    if store is not None:
        counts = token_counts(store)
        blocks += [_ranks(counts), _octaves(counts), _frequent(store, counts)]
    return Section(
        "text", "The text and its tokens", tuple(blocks),
        teaser=f"{format_bytes(of('train_bytes'))}, {of('vocab_size'):,} different tokens",
    )  # fmt: skip


def _contamination(fraction: float) -> str:
    """Return what of the validation text is known from training."""
    if fraction == 0.0:
        return "No passage of the validation text also occurs in the training text."
    return (
        f"{fraction:.1%} of the validation tokens are part of a passage of 32 that also occurs "
        "in the training text."
    )


def _ranks(counts: NDArray[np.int64]) -> Figure:
    """Frequency by rank: a straight line where Zipf's law holds."""
    used = np.sort(counts[counts > 0])[::-1].astype(float)
    # Evenly spread over the logarithm: the left end of the curve has few points, the right many.
    ranks = np.unique(np.geomspace(1, len(used), 300).round().astype(int))
    return Figure(
        "How often each token is used, from the most frequent to the rarest",
        f"Frequency by rank, both logarithmic: the most frequent of {len(used):,} tokens in use "
        f"occurs {used[0]:,.0f} times in the training text, the middle one "
        f"{used[len(used) // 2]:,.0f} times.",
        curves(
            [
                Curve(
                    "times in the training text",
                    [float(r) for r in ranks],
                    used[ranks - 1].tolist(),
                    "@accent",
                )
            ],
            Axis("rank", log=True, min_value=1),
            Axis("times", log=True, min_value=1),
        ),
        height=260,
    )


def _octaves(counts: NDArray[np.int64]) -> Figure:
    octave = np.where(counts == 0, 0, np.log2(np.maximum(counts, 1)).astype(np.int64) + 1)
    octave_counts = np.bincount(octave).tolist()
    names = ["0"] + [
        f"{2 ** (n - 1):,}" if n == 1 else f"{2 ** (n - 1):,}–{2**n - 1:,}"
        for n in range(1, len(octave_counts))
    ]
    description = "; ".join(
        f"{c:,} tokens {n} times" for n, c in zip(names, octave_counts, strict=True)
    )
    return Figure(
        "How many tokens of the vocabulary are used how often",
        f"Bars: {description}.",
        bars(
            names,
            octave_counts,
            Axis("tokens", min_value=0),
            name_axis="times in the training text",
        ),
        height=240,
    )


def _frequent(store: TokenStore, counts: NDArray[np.int64]) -> ReportTable:
    top = [int(i) for i in np.argsort(-counts, kind="stable")[:FREQUENT] if counts[i]]
    rows = tuple(
        (
            mark_whitespace(next(tokens_to_text(store.tokenizer, [i]))[0]), f"{counts[i]:,}",
            f"{counts[i] / counts.sum():.2%}",
        )
        for i in top
    )  # fmt: skip
    columns = word_columns("token") + number_columns("times", "part of the training text")
    return ReportTable(
        "The most frequent tokens (␣ a space, ↵ a line's end)", columns, rows, folded=True
    )
