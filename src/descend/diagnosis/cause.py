"""What a cause is: expectations, a sequence of treatments to try, and when it cannot be.

Each cause is a file in `causes/` that ends by building one `Cause`. Causes never name each other:
what tells two apart is computed from what each expects and from what its trial gains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from descend.config import RunConfig
from descend.metrics.measurement import Measurements

HEADINGS = (
    "What it is",
    "An analogy",
    "In technical words",
    "How it shows",
    "Not to be confused",
    "More and less",
    "Typical values",
    "Proof",
    "What to try",
    "When it is not this",
    "Further reading",
)
"""Of the docstring of every cause, which becomes its page: those of the handbook, and between them
what tells one cause from another. `{expected}` in it stands for what the cause `expects`."""


class ExpectedRange(msgspec.Struct, frozen=True):
    """What `metric` reads if the cause holds: from `low` to `high`, None: without bound."""

    metric: str
    low: float | None
    high: float | None
    weight: float
    """How many nats of log-odds a measurement inside is worth; outside it costs as many. Fitted
    (benchmarks/diagnosis/fit_signals.py), but for signs that are rare by nature."""
    reason: str
    weight_outside: float | None = None
    """How many it costs outside, where that is not as many: what is rare says little by absence."""

    @property
    def penalty(self) -> float:
        """Nats of log-odds that a measurement outside costs."""
        return self.weight if self.weight_outside is None else self.weight_outside


class TreatmentChange(msgspec.Struct, frozen=True):
    """One thing done differently: what the treated run has that the control has not.

    Seed, data order, evaluation and number of tokens (of bytes, where the vocabulary changes)
    stay those of the control.
    """

    label: str
    keys: dict[str, Any]
    steps: float = 1.0
    """Length in units of the control's."""
    train_fraction: float = 1.0
    """Fraction of the training text it may use."""
    is_ablation: bool = False
    """The change makes it worse on purpose: what it costs says what doing the opposite gains."""
    inverse_effect_fraction: float = 1.0
    """Fraction of that cost which the opposite is expected to gain."""
    max_inverse_effect_nats: float | None = None
    """Nats that the opposite can gain at most, where that is known from the run itself."""
    min_inverse_effect_nats: float = 0.0
    """Nats that it gains at least, where the run itself says so and its trial costs something."""
    whole_epoch_steps: float | None = None
    """Length of one whole epoch in units of the run, where the run read only a part of its text
    and this change reads more of it; None elsewhere."""
    begins_sequence: bool = False
    """It is tried whatever those before it gained."""
    min_run_fraction: float = 0.0
    """Fraction of the run from which a trial of it can show anything."""

    @property
    def changes_vocabulary(self) -> bool:
        """Whether a token of the treated run is not one of the control's."""
        return bool({"vocab_size", "tokenizer"} & self.keys.keys())


def no_exclusion(config: RunConfig, measurements: Measurements) -> str | None:
    """For causes that only the evidence can rule out."""
    return None


def no_measured_harm(measurements: Measurements) -> float:
    """For causes that only a trial can show."""
    return 0.0


@dataclass(frozen=True)
class Cause:
    """All there is to know of a cause. `name` is the file's."""

    name: str
    headline: str
    """Completes "Your model learns less than it could: …"."""
    page: str
    expected_ranges: tuple[ExpectedRange, ...]
    treatments: Callable[[RunConfig, Measurements], tuple[TreatmentChange, ...]]
    """Treatments of growing strength; the next is tried where the one before gained."""
    advice: str
    """What to do, in words; the numbers come from the change that won."""
    exclusion_reason: Callable[[RunConfig, Measurements], str | None] = no_exclusion
    """Why it is out of the question for this run, or None."""
    prior_log_odds: float = 0.0
    """Log-odds (nats) before anything is read: how common the cause is among runs that people ask
    about. Fitted with the weights of what it expects."""
    is_costly: bool = False
    """The treatment costs training time or text, and more of it helps nearly every run a little."""
    measured_harm_nats: Callable[[Measurements], float] = no_measured_harm
    """Nats by which the result is off because of it, for what is counted and not tried; 0: not."""
    invalidates_evaluation: bool = False
    """Where it holds, no loss on the validation text is to be believed, nor what a trial gained."""


def cause_name(module: str) -> str:
    """Return the cause that the file `module` is about."""
    return module.rsplit(".", 1)[-1]


def scaled_learning_rate(config: RunConfig, factor: float) -> dict[str, Any]:
    """Return `learning_rate` times `factor`, to two digits; of a rate per epoch every one."""
    rate = config.learning_rate
    if isinstance(rate, dict):
        return {"learning_rate": {epoch: _two_digits(r * factor) for epoch, r in rate.items()}}
    return {"learning_rate": _two_digits(rate * factor)}


LEARNED_NOTHING = 0.97
"""Of the unigram baseline: a model that ends above it knows no more than how frequent tokens
are."""

USUAL_RATE = RunConfig().peak_learning_rate
"""The default, at which both optimizers train: AdamW and Muon are given the same."""
FAR = 30.0
"""Times the usual rate, above or below, from which steps of three and ten stop before it: each is
followed up only where the one before gained, and of two rates that are far off neither learns."""


def usual_rate_changes(config: RunConfig) -> tuple[TreatmentChange, ...]:
    """Return three and ten times the usual rate, which a small network learns by in the few steps
    of a trial, and by itself the usual one, which suits a large network."""
    return tuple(
        TreatmentChange(
            f"a learning rate of {_two_digits(USUAL_RATE * factor):g}",
            scaled_learning_rate(config, USUAL_RATE * factor / config.peak_learning_rate),
            begins_sequence=factor == 1.0,
        )
        for factor in (3.0, 10.0, 1.0)
    )


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")
