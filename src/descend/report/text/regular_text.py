"""A warning about texts that are more regular than those behind a prediction."""

from __future__ import annotations

from descend.planner.corpus_profile import CorpusProfile

MAX_REGULAR = 0.59
"""Loss of counting triples over that of single tokens, under which a text is more regular than all
that the outlook knows. Origin: 0.60 of `stories`, 0.68 and more of the other texts of
benchmarks/plan/samples.json."""


def describe_regular_text(sample: CorpusProfile, expected: float) -> str | None:
    """Say that `expected` bits per byte are likely too high, on a text of a kind that the
    expectation was not learned from: counting alone comes lower, or it has few different words.

    On other texts a very short run ends above counting indeed: None for them.
    """
    reached, name = min((sample.bigram, "bigram"), (sample.trigram, "trigram"))
    if expected > reached and sample.trigram < MAX_REGULAR * sample.unigram:
        return (
            f"The {name} baseline alone reaches {reached:.3f}. This text is more regular than the "
            "texts behind the prediction, so the predicted loss is probably too high."
        )
    if _has_few_words(sample):
        return (
            "This text has few different words, unlike the texts behind the prediction. The "
            "predicted loss is probably too high."
        )
    return None


def _has_few_words(sample: CorpusProfile) -> bool:
    """Return whether a larger vocabulary finds nothing new in the text, which for its length is
    small: of the texts of benchmarks/plan/samples.json in `stories` alone."""
    last_two = [sample.bytes_per_token[size] for size in sorted(sample.bytes_per_token)[-2:]]
    return len(last_two) > 1 and last_two[0] == last_two[1]
