"""It was not trained long enough.

What it is:
    All is set well; the run just ended while the loss was still falling.

An analogy:
    Bread taken from the oven too soon. The dough was right and so was the heat; all that it lacks
    is the rest of the hour.

In technical words:
    Over the number of steps n the loss falls about as a power law,

        L(n) = E + A · n^(−a)

    so that twice the steps gain A · n^(−a) · (1 − 2^(−a)): with every doubling less, never
    nothing. What a run is worth shows only once its rate has come down, so runs of different
    lengths may be compared only if each has its own full schedule.

How it shows:
    The validation loss falls in the last epoch as it did before, on known text and on validation
    text alike.

Not to be confused:
    A rate that is too low also leaves the loss falling; there a longer step helps at no cost. A
    rate that fell to zero flattens any curve: flat is not finished.

More and less:
    Longer: a lower loss at a price that doubles for each gain, until the text is memorized
    (`too_little_data`). Shorter: more tries in the same time, which is worth more while the rate
    and the size are not settled.

Typical values:
    {expected}

    These limits were not measured, nor was the rise of 0.02 nats that rules it out. A rate that
    falls makes the last epoch gain by itself: last epoch loss reduction 0.14 in
    `old_tinyshakespeare.json`, whose rate is constant, 0.18 in `fast_tinyshakespeare.json`, whose
    rate falls to zero (benchmarks/results/ranges/). Only the trial decides.

Proof:
    The same run with twice the steps, its schedule stretched over them; four times and eight times
    where the shorter was worth its time, each doubling for a gain of 3 % of the loss at least.
    Where a full-length run cannot be afforded, complete runs of growing length are continued by a
    power law. A run that read only a part of its text is judged by one whole epoch: what its
    doublings are expected to gain together must be 3 % of the loss.

What to try:
    As many `epoch` as the trial says, twice at least. What that would bring is said with it, so
    that everyone can decide; `descend forecast RUN` tells what more epochs are expected to bring,
    with an interval.

When it is not this:
    The validation loss had risen after its best epoch, or known text is far easier than validation
    text already, or twice the steps end no lower.

Further reading:
    Viering and Loog (2022), "The Shape of Learning Curves: A Review". Hägele et al. (2024),
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value

MIN_LAST_EPOCH_FALL_NATS = 0.03
"""Nats won in the last epoch; first guess."""


TIMES = {2: "twice", 4: "four times", 8: "eight times"}
"""Lengths to try: the next where the one before was worth its time, which doubles with each."""
WHOLE = 0.7
"""Fraction of the run from which a trial tells of more than twice its steps: a short one is steep,
and would ask for eight times whatever run it is cut from."""


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Longer, and longer still; of text that was not read once, up to one whole epoch."""
    num_epochs = measurement_value(measurements, "epochs", 1.0)
    whole_epoch_steps = 1 / num_epochs if 0 < num_epochs < 1 else None
    return tuple(
        TreatmentChange(
            f"{word} the steps",
            {"epoch": times * (config.epoch or 1)},
            steps=float(times),
            whole_epoch_steps=whole_epoch_steps,
            min_run_fraction=WHOLE if times > 2 else 0.0,
        )
        for times, word in TIMES.items()
    )


def cannot_be(config: RunConfig, measurements: Measurements) -> str | None:
    """Exclude a run past its best epoch, which was long enough."""
    rise = measurement_value(measurements, "validation_loss_increase_after_best")
    if rise > RISEN:
        return f"the validation loss rose by {rise:.2f} nats after its best epoch"
    gap = measurement_value(measurements, "generalization_gap_nats")
    if gap > KNOWN and measurement_value(measurements, "epochs", 1.0) > 1:
        return (
            f"the training text is {gap:.2f} nats easier than the validation text, so more epochs "
            "would mostly memorize it"
        )
    return None


KNOWN = 0.5
"""Nats. Origin: in the development half of the benchmark twice the passes gained at most 2.5 %
above it; the default recipe on tiny Shakespeare (0.61) gained nothing (docs/recipe.md). Trials
shorter than the run make fewer passes than it and cannot see this."""
RISEN = 0.02
"""Three times the spread between seeds (0.006, prototype)."""

CAUSE = Cause(
    name=cause_name(__name__),
    headline="the model was not trained long enough",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "last_epoch_loss_reduction",
            MIN_LAST_EPOCH_FALL_NATS,
            None,
            0.2,
            "still falling in the last epoch",
            weight_outside=1.3,
        ),
        ExpectedRange(
            "generalization_gap_nats",
            None,
            0.3,
            0.0,
            "the model memorizes little",
            weight_outside=0.6,
        ),
        ExpectedRange("epochs", None, 4.0, 0.0, "few of them", weight_outside=0.5),
    ),
    treatments=trial,
    advice="train longer",
    exclusion_reason=cannot_be,
    is_costly=True,
    prior_log_odds=-0.2,
)
