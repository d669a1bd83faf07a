"""A corpus and its tokenizer in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from descend.data.contamination.boilerplate import MIN_REPEATS
from descend.data.corpus_stats import CorpusStats
from descend.data.text_shape import TextShape
from descend.diagnosis.text_warnings import describe_text_shape, has_many_phrases
from descend.report.text.contamination_notice import describe_contamination
from descend.report.text.run_summary import format_accuracy_baselines, format_ngram_baselines
from descend.units import describe_split_method, format_bytes, format_count

if TYPE_CHECKING:
    from descend.data.corpus_builder import CorpusBuildSummary

FREQUENT_PER_LINE = 4
"""Tokens of a line of the most frequent ones: they fit into 80 columns."""


def describe_corpus_build(done: CorpusBuildSummary, drop_boilerplate: bool) -> str:
    """Say what was added to a corpus, and what was left out of it."""
    count = done.num_unreadable_files
    unreadable = f" ({count} of them could not be read)" if count else ""
    recurring = f", {done.boilerplate_fraction:.1%} of the text as boilerplate" * drop_boilerplate
    if done.copied_fraction > 0:
        recurring += f", {done.copied_fraction:.1%} of the text as copies within a document"
    return (
        f"{format_count(done.documents, 'document')} ({done.bytes:,} bytes) from "
        f"{format_count(done.files, 'file')}{unreadable} {'is' if done.documents == 1 else 'are'} "
        f"in {done.path}. Removed: {done.too_short} too short, "
        f"{done.exact_duplicates} exact and {done.near_duplicates} near duplicates, "
        f"{done.num_not_sampled} not sampled{recurring}"
    )


def describe_tokenizer(file: Path, vocab_size: int, bytes_per_token: float) -> str:
    """Say what tokenizer was trained, and how a run uses it."""
    return (
        f"Trained a tokenizer with {vocab_size} tokens ({bytes_per_token:.2f} bytes per token on "
        f"validation text). Use it with --vocab-path {file}"
    )


def _boilerplate_lines(stats: CorpusStats) -> list[str]:
    recurring = stats.boilerplate
    if recurring is None:
        return [
            f"boilerplate across documents: not measured ({MIN_REPEATS} are needed). Phrases that "
            f"repeat make up {sum(p.fraction for p in stats.repeated_phrases):.0%} of the text"
        ]
    fix = " (fix: `descend corpus add --drop-boilerplate`)"
    return [
        f"boilerplate: {recurring.fraction:.1%} of the text in passages that recur across "
        f"documents{fix if recurring.passages else ''}",
        *(f'  {p.fraction:>5.1%} in {format_count(p.documents, "document")}: "{p.beginning} …"'
          for p in recurring.passages),
    ]  # fmt: skip


def format_corpus_stats(stats: CorpusStats) -> list[str]:
    """Return `corpus stats` as text, the token frequencies drawn as bars."""
    near = (
        "not measured"
        if stats.near_duplicate_fraction is None
        else f"{stats.near_duplicate_fraction:.1%}"
    )
    baselines = stats.ngram_baselines
    shape = TextShape(
        stats.validation_divergence,
        stats.repeated_line_fraction,
        stats.repeated_phrases,
        stats.split_word_fraction,
        stats.random_id_fraction,
    )
    contamination = describe_contamination(
        stats.contamination_fraction, has_phrases=has_many_phrases(shape)
    )
    lines = [
        (
            f"{stats.corpus}: {format_count(stats.documents, 'document')},"
            f" {format_bytes(stats.bytes)}, {stats.characters:,} characters, {stats.tokens:,}"
            " tokens"
        ),
        f"{stats.bytes_per_token:.2f} bytes per token with a vocabulary of {stats.vocab_size:,}",
        (
            f"duplicates: {stats.duplicate_fraction:.1%} of the bytes (exact), {near} of the"
            f" documents (near). {stats.contamination_fraction:.1%} of the validation text also"
            " occurs in the training text"
        ),
        *filter(None, [contamination]),
        *describe_text_shape(shape),
        *_boilerplate_lines(stats),
        f"validation set: {stats.validation_tokens:,} of {stats.tokens:,} tokens, split by "
        f"{describe_split_method(stats.split_by)}",
        format_ngram_baselines(
            {"uniform": baselines.uniform, "unigram": baselines.unigram, "bigram": baselines.bigram}
        )
        + f", trigram {baselines.trigram:.2f}",
        *filter(None, [format_accuracy_baselines(baselines.accuracies)]),
        (
            f"{stats.rare_vocabulary_fraction:.0%} of the vocabulary occurs fewer than 20 times in "
            "the training text"
        ),
        "tokens of the vocabulary, by how often they occur in the training text:",
    ]
    for octave, count in enumerate(stats.frequency_octaves):
        low, high = (0, 0) if octave == 0 else (2 ** (octave - 1), 2**octave - 1)
        span = f"{low:,}" if low == high else f"{low:,}-{high:,}"
        bar = "█" * round(40 * count / max(stats.frequency_octaves))
        lines.append(f"{span:>19} {'time ' if high == 1 else 'times'}  {bar:<40} {count:,}")
    frequent = [f"{t.token!r} {t.count:,}" for t in stats.frequent_tokens]
    rows = [
        "  ".join(f"{token:<16}" for token in frequent[i : i + FREQUENT_PER_LINE]).rstrip()
        for i in range(0, len(frequent), FREQUENT_PER_LINE)
    ]
    return [*lines, "most frequent tokens:", *(f"  {row}" for row in rows)]
