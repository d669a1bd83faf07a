"""It is held back by too much regularisation.

What it is:
    Dropout, weight decay or label smoothing, meant against learning by heart, keep the model
    from learning at all.

How it shows:
    With dropout on, the training loss is far above that of the same text in evaluation mode;
    there is no gap between known and held-out text.

Not to be confused:
    A model that is too small shows no gap either. With dropout on, a training loss above the
    validation loss is normal.

Proof:
    The same run with dropout and label smoothing off and a weight decay of at most 0.1.

Remedy:
    Regularisation off, or as low as the trial says.

When it is not this:
    There was none to speak of, or the run without it ends no lower.

Source:
    Srivastava et al. 2014; weight decay in short runs: arXiv 2405.13698.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings

DEAR = 0.15
"""Nats that dropout costs in training mode; first guess."""
MUCH_DROPOUT = 0.25
"""Share of the units; 0.1 to 0.2 is usual. Of 0.7 on 200 kB the training loss told nothing: it was
lower than that of the whole network, which had learned as little."""
LITTLE_DECAY = 0.1
"""AdamW's and Muon's usual value; not counted as much."""


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """All of it off."""
    keys: dict[str, float] = {}
    if config.dropout_rate:
        keys["dropout_rate"] = 0.0
    if config.blank_rate:
        keys["blank_rate"] = 0.0
    if config.label_smoothing:
        keys["label_smoothing"] = 0.0
    if config.weight_decay > LITTLE_DECAY:
        keys["weight_decay"] = LITTLE_DECAY
    return (Change("no regularisation", keys),) if keys else ()


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """None on."""
    if not trial(config, readings):
        decay = f"weight decay {config.weight_decay:g}"
        return f"there is none: no dropout, no blanked tokens, no smoothing, {decay}"
    return None


CAUSE = Cause(
    name=name_of(__name__),
    headline="too much regularisation holds it back",
    page=__doc__,
    expects=(
        Expectation(
            "dropout_rate",
            MUCH_DROPOUT,
            None,
            2.0,
            "of the network are off in every step",
            outside=0.0,
        ),
        Expectation(
            "dropout_gap", DEAR, None, 1.2, "nats that dropout costs while training", outside=0.8
        ),
        Expectation(
            "generalisation_gap", None, 0.15, 1.0, "hardly anything is known by heart", outside=0.8
        ),
    ),
    trial=trial,
    remedy="switch the regularisation off",
    cannot_be=cannot_be,
    prior=0.1,
)
