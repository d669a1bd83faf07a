"""Which settings of a program are changed to test which cause."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

RATE_FACTORS = (3.0, 10.0, 30.0)
"""Those of the causes `learning_rate_too_high` and `learning_rate_too_low`, and one beyond: a
factor of 30 is the largest that is planted in the benchmark of the diagnosis."""

BATCH_FACTORS = (4, 16)
"""Times the batch, at as many fewer steps, and so with the same text. As in the cause
`batch_too_small`."""

LAYERS_FACTOR = 4
"""Times the layers."""

MIN_STEPS_LEFT = 20
"""Steps that a trial of a larger batch must have; with fewer, the batch is not tested."""


class ProgramTreatment(msgspec.Struct, frozen=True):
    """A change of settings, and the cause that it would fix."""

    cause: str
    description: str
    changes: dict[str, float]


def list_treatments(values: Mapping[str, float]) -> list[ProgramTreatment]:
    """Return the treatments for what a program sets: its mapped keys and their `values`."""
    treatments = []
    rate = values.get("learning_rate")
    if rate is not None:
        for factor in RATE_FACTORS:
            treatments += [
                ProgramTreatment(
                    "learning_rate_too_high", f"1/{factor:g} of the learning rate",
                    {"learning_rate": rate / factor},
                ),
                ProgramTreatment(
                    "learning_rate_too_low", f"{factor:g} times the learning rate",
                    {"learning_rate": rate * factor},
                ),
            ]  # fmt: skip
    treatments += _larger_batches(values)
    layers = values.get("num_layers")
    if layers is not None:
        treatments.append(
            ProgramTreatment(
                "model_too_small", f"{LAYERS_FACTOR} times the layers",
                {"num_layers": layers * LAYERS_FACTOR},
            )
        )  # fmt: skip
    if values.get("dropout_rate"):
        treatments.append(ProgramTreatment("over_regularized", "no dropout", {"dropout_rate": 0.0}))
    return treatments


def _larger_batches(values: Mapping[str, float]) -> list[ProgramTreatment]:
    """Larger batches on the same text: a limit of steps falls, others stay as they are."""
    batch, rate = values.get("batch_size"), values.get("learning_rate")
    steps = values.get("max_steps")
    if batch is None:
        return []
    treatments = []
    for factor in BATCH_FACTORS:
        changes = {"batch_size": batch * factor}
        if steps is not None:
            if steps / factor < MIN_STEPS_LEFT:
                break
            changes["max_steps"] = steps // factor
        if rate is not None:  # with the square root of the batch (Malladi et al. 2022)
            changes["learning_rate"] = rate * factor**0.5
        treatments.append(
            ProgramTreatment(
                "batch_too_small", f"{factor} times the batch, on the same text", changes
            )
        )
    return treatments
