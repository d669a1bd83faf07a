"""What is said of a text whose losses say something else than how well it is learned."""

from __future__ import annotations

from descend.data.repeated_phrases import NUM_NAMED, RepeatedPhrase
from descend.data.text_shape import TextShape
from descend.units import format_count

MAX_VALIDATION_DIVERGENCE = 0.2
"""Bits. Origin: 0.12 and less on 18 books, programs, and manuals, 0.38 on a text whose end is in
another language and script."""
MAX_REPEATED_LINES = 0.9
"""Fraction of the lines. First guess; programs repeat a third of theirs."""
MAX_PHRASE_FRACTION = 0.03
"""Fraction of the characters. Origin: 0.004 and less on 10 books, plays, tune books, programs, and
manuals, 0.05 where a novel has an advertisement after each chapter."""


MAX_SPLIT_WORDS = 0.01
"""Of the lines. Origin: 0 to 0.0007 in four books, whose lines end between words; 0.07 in a scanned
one."""


MAX_RANDOM_IDS = 0.1
"""Of the characters; first guess. 0.49 in a log of requests, at most 0.002 in books, pages of
packages, and code."""


def describe_text_shape(shape: TextShape) -> list[str]:
    """Warn of validation text that is unlike the training text, and of lines that repeat."""
    lines = []
    if shape.validation_divergence > MAX_VALIDATION_DIVERGENCE:
        lines.append(
            "the validation text is unlike the training text (divergence of their tokens: "
            f"{shape.validation_divergence:.2f} bits, usual: under {MAX_VALIDATION_DIVERGENCE}), "
            "so the validation loss is that of another kind of text. Of a single document the end "
            "is held out: put each kind of text into files of its own"
        )
    if shape.repeated_line_fraction > MAX_REPEATED_LINES:
        lines.append(
            f"{shape.repeated_line_fraction:.0%} of the lines repeat an earlier one, numbers "
            "aside, so a low loss only says that these lines were memorized. Keep a few of each"
        )
    if has_many_phrases(shape):
        lines.append(
            f"{describe_phrases(shape.repeated_phrases)}, so the model will write them as often. "
            "Remove these lines if a bot, an advertisement, or a notice adds them"
        )
    if shape.split_word_fraction > MAX_SPLIT_WORDS:
        lines.append(
            f"{shape.split_word_fraction:.0%} of the lines end within a word, with a hyphen, as "
            "those of a scanned book do, and the model will write such lines. Join the halves first"
        )
    if shape.random_id_fraction > MAX_RANDOM_IDS:
        lines.append(
            f"{shape.random_id_fraction:.0%} of the characters stand in hexadecimal ids, which no "
            "model can predict, so the loss cannot fall far. Put one word in place of each id"
        )
    return lines


def has_many_phrases(shape: TextShape) -> bool:
    """Return whether phrases that repeat make up much of the text."""
    return sum(phrase.fraction for phrase in shape.repeated_phrases) > MAX_PHRASE_FRACTION


def describe_phrases(phrases: tuple[RepeatedPhrase, ...]) -> str:
    """Name the phrases that make up much of a text."""
    named = ", ".join(f"“{p.text}” ({p.fraction:.0%})" for p in phrases[:NUM_NAMED])
    more = f", and {len(phrases) - NUM_NAMED} more" if len(phrases) > NUM_NAMED else ""
    fraction = sum(phrase.fraction for phrase in phrases)
    verb = "repeats and makes" if len(phrases) == 1 else "repeat and make"
    return (
        f"{format_count(len(phrases), 'phrase')} {verb} up {fraction:.0%} of the text: "
        f"{named}{more}"
    )
