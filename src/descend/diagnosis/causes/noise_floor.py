"""The text is that hard: nothing is left to gain.

What it is:
    The rest of the loss is real uncertainty of the text, which no model can remove.

An analogy:
    Foretelling dice. Whoever has learned that each face comes up one time in six knows all there
    is to know, and is still wrong five times in six.

In technical words:
    The entropy rate of a text (Shannon) is what a token costs who knows everything before it:

        H = −mean ln p(xₜ | x₁ … xₜ₋₁), as t grows without end

    A model that gives the probabilities q has

        loss = H + KL(p ‖ q) ≥ H

    so that only the divergence KL can be trained away. H is known exactly of made-up text alone.
    Of real text counting and packing bound it from above, never from below.

How it shows:
    The model predicts as well as counting does, counting longer contexts brings nothing more, and
    no word, or byte, tells anything of one further on; no change of any setting lowers the loss.

Not to be confused:
    A run that has not begun to use its context also stands where counting stands; there, counting
    longer contexts does bring more. A run at the floor of a text that could be learned is called
    healthy: this verdict is for text that is mostly chance.

More and less:
    Noise in the text (typing errors, broken encodings, random strings) lifts the floor for every
    model. Cleaner text has a lower one, but is another text: losses on the two cannot be
    compared. More training or size at the floor buys nothing but time.

Typical values:
    {expected}

    The first two limits were not measured. The third is measured: 0.018 at most on noise, 0.064 and
    more on text. Of a text far from its floor (benchmarks/results/ranges/): fourgram loss reduction
    0.23 in `old_tinyshakespeare.json`. Printed English is put at 0.6 to 1.3 bits a letter
    (Shannon); extrapolating from large corpora lowers what packing finds by about a fifth (Takahira
    and others).

Proof:
    The order of the text tells nothing, counted in words and in bytes, and the loss is that of who
    knows their frequencies. Or: all changes that were tried came out neutral, and the loss is at
    least 0.9 of that of token frequencies alone. Of a text whose order tells nothing, a gain by
    another vocabulary alone is no cause: it brings the same floor within reach sooner.

What to try:
    Nothing: stop here, or use cleaner text.

When it is not this:
    Some change gains, or longer counted contexts do.

Further reading:
    Shannon (1951), "Prediction and Entropy of Printed English". Takahira, Tanaka-Ishii and
    Dębowski (2016), "Entropy Rate Estimates for Natural Language: A New Extrapolation of
    Compressed Large-Scale Corpora".
"""

from __future__ import annotations

import math

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return no setting to try: it is measured."""
    return ()


TELLING = 0.02
"""Nats that a unit tells of one further on, under which a text is chance. Origin: 0.018 at most on
noise, random words and words in random order of 100 kB; 0.064 and more on four books, program text
and made-up languages of that length (tests/metrics/test_order_information.py)."""
NEAR = 0.03
"""Distance from the loss of who knows frequencies alone, as a fraction of it: what is left to gain
is worth no cost."""
COUNTED_GAP = 0.05
"""Nats above the best that counting reaches, where words are spelled in several tokens and a small
model is still learning the last of them; first guess."""


def is_chance(measurements: Measurements) -> bool:
    """Return whether the order of the text tells nothing, in words or in bytes, whatever its
    tokens."""
    return measurement_value(measurements, "order_information_nats", math.inf) <= TELLING


def measured(measurements: Measurements) -> float:
    """Return the loss, where all of it is chance: that of who knows how frequent words or bytes
    are."""
    loss = measurement_value(measurements, "measured_validation_loss")
    chance_loss = measurement_value(measurements, "chance_loss", math.inf)
    at_floor = (
        abs(loss - chance_loss) <= NEAR * chance_loss
        or abs(measurement_value(measurements, "gap_to_ngram_nats", math.inf)) <= COUNTED_GAP
    )
    return loss if is_chance(measurements) and at_floor else 0.0


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the text is noise, and the model predicts it as well as possible",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "fourgram_loss_reduction",
            None,
            0.02,
            1.4,
            "nats gained by longer n-grams",
            weight_outside=2.0,
        ),
        ExpectedRange(
            "gap_to_ngram_nats",
            None,
            COUNTED_GAP,
            1.4,
            "nats above the best n-gram baseline",
            weight_outside=2.0,
        ),
        ExpectedRange(
            "order_information_nats",
            None,
            TELLING,
            2.1,
            "nats that a word or byte tells about a later one",
            weight_outside=2.7,
        ),
    ),
    treatments=trial,
    measured_harm_nats=measured,
    advice="nothing is left to gain on this text; cleaner text would have a lower floor",
    prior_log_odds=-0.6,
)
