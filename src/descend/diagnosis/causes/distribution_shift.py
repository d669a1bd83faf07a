"""The validation text is of another kind.

What it is:
    The model is judged on text unlike what it was trained on, such as another language, author
    or subject.

An analogy:
    Learning from cookery books and being examined in law. The marks are poor however hard you
    study, and no teacher is to blame.

In technical words:
    A model that learned the distribution p perfectly loses on text of a distribution q

        loss = H(q) + KL(q ‖ p)

    H(q) is the uncertainty of that text itself, the divergence KL the price of having learned
    another. descend measures it without a model, by counting pairs of tokens, on the second half
    of a segment of text:

        foreign = loss(by the training text) − loss(by its own first half)
        shift   = mean foreign(held-out) − largest foreign(segment of the training text)

    The same is counted in bytes, and the smaller of the two is reported: pieces of a vocabulary
    that is too large occur so seldom that any text looks foreign in them.

How it shows:
    A counting model foretells the validation text far better from a piece of that text than from
    all of the training text, which is not so of any segment of the training text itself; the gap
    between known and validation text is there from the start.

Not to be confused:
    Memorization opens the same gap, but later, and counting models do not show it.

More and less:
    Text mixed before the split: an honest number for text like this, and none for other text.
    Text held out by document, author or year: a harder test that says more of what is to come,
    and looks like this cause if the difference is large.

Typical values:
    {expected}

    Ten planted shifts read 0.50 to 4.8, four of a part of the text 0.12 to 0.99. Texts without
    one or copies read 0.01 at most (benchmarks/results/diagnosis/shifts.jsonl). Real runs
    (benchmarks/results/ranges/): distribution shift nats -0.089 in `fast_tinyshakespeare.json`,
    -0.72 in `width_8.json`, both without a shift.

Proof:
    The same comparison for eight segments of the training text as long, each left out of what
    is counted: the validation text must be more foreign than the most foreign of them.

What to try:
    Mix the text before it is split (many documents instead of one), or train on text of the kind
    that is judged. `descend corpus stats FOLDER` says how it was split; another `seed` chooses
    other documents.

When it is not this:
    Some segment of the training text is about as foreign to the rest of it.

Further reading:
    Quiñonero-Candela et al. (2009), "Dataset Shift in Machine Learning". Gururangan et al.
    (2020), "Don't Stop Pretraining: Adapt Language Models to Domains and Tasks".
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.diagnosis.cause import Cause, ExpectedRange, TreatmentChange, cause_name
from descend.metrics.measurement import Measurements, measurement_value


def trial(config: RunConfig, measurements: Measurements) -> tuple[TreatmentChange, ...]:
    """Return no setting to try: it is measured."""
    return ()


MIN_SHIFT_NATS = 0.3
"""Nats by which the validation text is more foreign than any segment of the training text. Origin:
0.50 to 4.8 in ten planted shifts, 0.01 at most where there is none and no copies
(benchmarks/results/diagnosis/shifts.jsonl). A folder of four books in two languages read 0.20."""


MAX_COPIES = 0.15
"""Fraction of the training text that is copies, from which nothing is said: a segment set aside is
easy then, since it stands elsewhere too."""


def measured(measurements: Measurements) -> float:
    """Return how much more foreign the validation text is than what differs within the training
    text."""
    shift_nats = measurement_value(measurements, "distribution_shift_nats")
    return (
        shift_nats
        if shift_nats >= MIN_SHIFT_NATS
        and measurement_value(measurements, "duplicate_train_fraction") < MAX_COPIES
        else 0.0
    )


CAUSE = Cause(
    name=cause_name(__name__),
    headline="the validation text is of another kind than the training text",
    page=__doc__,
    expected_ranges=(
        ExpectedRange(
            "distribution_shift_nats",
            MIN_SHIFT_NATS,
            None,
            3.1,
            "nats further from the training text than any part of it is",
            weight_outside=3.2,
        ),
    ),
    treatments=trial,
    advice="mix the text before the split, or train on the kind of text in the validation set",
    measured_harm_nats=measured,
    prior_log_odds=-0.1,
)
