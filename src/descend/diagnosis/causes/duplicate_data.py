"""The text is there more than once.

What it is:
    Copies make a text look longer than it is: every pass over it is several passes over the
    same.

An analogy:
    A library of a thousand volumes that turns out to hold five hundred books twice. The shelves
    are full, and you have read everything when you are half through.

In technical words:
    Counted over all runs of n tokens (32, or more where so short a run recurs by chance or is
    under 160 bytes):

        r = 1 − different runs / all runs

    P passes over a text of which the share r is copies are as many passes over what is left as

        P / (1 − r)

    on average: what is copied most often is seen most often, and memorized first.

How it shows:
    A good fraction of all runs of 32 tokens stood in the text before; memorization sets in
    after fewer passes than planned.

Not to be confused:
    Poems, logs and source code repeat themselves by nature, by some percent.

More and less:
    More copies: a lower training loss, a higher validation loss, and copied passages in what the
    model writes. Removing near copies as well as exact ones takes more of it away, and with it
    some text that was merely alike. A good text is sometimes repeated on purpose, up to about
    four times.

Typical values:
    {expected}

    From 0.15 on it is worth a word. These limits were not measured. A real run
    (benchmarks/results/ranges/): duplicate train fraction 0 in `fast_tinyshakespeare.json`.
    Hernandez and others made a network of 800 million parameters as poor as one of half the size by
    repeating a thousandth of the text a hundred times.

Proof:
    Counted, not tried: the fraction of the text that is copies. How much text matters here, the
    trial with half of it says.

What to try:
    Remove the copies (`descend corpus add FROM TO --deduplicate near`) and train again.

When it is not this:
    Under a few percent of the text is copies.

Further reading:
    Lee et al. (2022), "Deduplicating Training Data Makes Language Models Better". Hernandez et
    al. (2022), "Scaling Laws and Interpretability of Learning from Repeated Data".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return no setting to try: it is measured."""
    return ()


MIN_DUPLICATE_FRACTION = 0.15
"""Fraction of the text that is copies, from which it is worth a word; first guess."""
BY_COPIES = 2.0
"""Nats that the loss is off for a text of copies only; first guess: the trial with half the text
says more."""


def measured(measurements: Measurements) -> float:
    """Return nats by which copies flatter the training loss and shorten the text."""
    duplicate_fraction = measurement_value(measurements, "duplicate_train_fraction")
    return duplicate_fraction * BY_COPIES if duplicate_fraction >= MIN_DUPLICATE_FRACTION else 0.0


CAUSE = Cause(
    name=cause_name(__name__),
    headline="a large part of the text is there more than once",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "duplicate_train_fraction",
            0.2,
            None,
            3.0,
            "of the training text stood there before",
            weight_outside=3.2,
        ),
    ),
    treatments=trial,
    advice="remove the copies with `descend corpus add --deduplicate near`, then train again",
    measured_harm_nats=measured,
    prior_log_odds=-0.2,
)
