"""Which settings of a program are changed to test which cause."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

RATE_FACTORS = (3.0, 10.0, 30.0)
"""Those of the causes `learning_rate_too_high` and `learning_rate_too_low`, and one beyond: a
factor of 30 is the largest that is planted in the benchmark of the diagnosis."""

BATCH_FACTOR = 8
"""Times the batch, at an eighth of the steps, and so with the same text."""

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
    rate, steps = values.get("learning_rate"), values["max_steps"]
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
    batch = values.get("batch_size")
    if batch is not None and steps / BATCH_FACTOR >= MIN_STEPS_LEFT:
        changes = {"batch_size": batch * BATCH_FACTOR, "max_steps": steps // BATCH_FACTOR}
        if rate is not None:  # with the square root of the batch (Malladi et al. 2022)
            changes["learning_rate"] = rate * BATCH_FACTOR**0.5
        treatments.append(
            ProgramTreatment(
                "batch_too_small", f"{BATCH_FACTOR} times the batch, on the same text", changes
            )
        )
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
