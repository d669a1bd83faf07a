"""The model is too small for this text.

What it is:
    The network has too few numbers to hold what the text would teach it.

How it shows:
    The loss levels off well above what counting or a larger model reaches, on training text as
    on held-out text: there is no gap between the two.

Not to be confused:
    A low rate ends high as well. And a larger model helps nearly every run a little: it also
    costs more time, which could have been spent on more steps.

Proof:
    The same run at two, four and eight times the width, equal tokens. The gain at equal time is
    told beside it: the control's own curve says what the extra seconds would have brought it.

Remedy:
    The smallest model whose gain is worth its time.

When it is not this:
    Twice the width ends no lower, or the training loss is far below the held-out loss already.

Source:
    L(N) = E + A/N^a: Kaplan et al. 2020, Hoffmann et al. 2022.
"""

from __future__ import annotations

from descend.config import RunConfig
from descend.doctor.cause import Cause, Change, Expectation, name_of
from descend.doctor.reading import Readings, value

NO_GAP = 0.15
"""Nats between seen and held-out text up to which nothing is known by heart; first guess."""
MUCH_TEXT = 20.0
"""Training tokens for each parameter from which size is the usual limit (Hoffmann et al. 2022)."""
FACTORS = (2, 4, 8)
WIDEST = 4096
"""Not tried beyond: such a trial would not fit the budget of any run."""


def trial(config: RunConfig, readings: Readings) -> tuple[Change, ...]:
    """Wider networks; heads keep their size."""
    return tuple(
        Change(
            f"{factor} times the width",
            {
                "embed_dim": config.embed_dim * factor,
                "ff_dim": config.ff_dim * factor,
                "num_heads": config.num_heads * factor,
            },
        )
        for factor in FACTORS
        if config.embed_dim * factor <= WIDEST and config.num_heads * factor <= 256
    )


def cannot_be(config: RunConfig, readings: Readings) -> str | None:
    """A model that knows its training text by heart is large enough."""
    gap, seen = value(readings, "generalisation_gap"), value(readings, "seen_loss", 1.0)
    if gap > KNOWN_BY_HEART * max(seen, 1e-9) and gap > 2 * NO_GAP:
        return (
            f"it already knows its training text far better ({seen:.2f} against {seen + gap:.2f})"
        )
    return None


KNOWN_BY_HEART = 0.5
"""Gap over training loss from which more room would only hold more by heart; first guess."""

WORSE = 0.3
"""Nats above what counting reaches; first guess. A model 8 wide read 1.07 on 200 kB."""

CAUSE = Cause(
    name=name_of(__name__),
    headline="the model is too small",
    page=__doc__,
    expects=(
        Expectation("floor_gap", WORSE, None, 2.5, "nats above what counting reaches", outside=0.0),
        Expectation("generalisation_gap", None, NO_GAP, 0.0, "nothing is known by heart yet"),
        Expectation(
            "tokens_per_parameter",
            MUCH_TEXT,
            None,
            1.5,
            "there is much text for each parameter",
            outside=1.8,
        ),
    ),
    trial=trial,
    asked=True,
    remedy="use a wider model",
    cannot_be=cannot_be,
    buys=True,
    prior=0.2,
)
