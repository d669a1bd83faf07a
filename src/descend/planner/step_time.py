"""How long a step takes here: a formula of six numbers, fitted to a few shapes that were timed.

    forward and backward   a (L + 1) + operations (b + c / D)
    update                 d L + e * operations of Muon + f * parameters

Narrow products use a processor badly, which is what c is for. Against sixteen shapes timed on one
quiet core, width 32 to 512, the formula fitted to three of them was off by 13 % at most
(benchmarks/plan/rates.json).
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from descend.model.cost import block_matrix_parameters, parameter_count, training_flops_per_token
from descend.model.shape import ModelShape

BILLION = 1e9

MUON_OPERATIONS = 15
"""Operations of Muon for each number in the matrices of the blocks, times D: three steps of
three products, 18 D^3 for each of four D x D matrices and 54 D^3 for each of two D x 4 D,
over their 12 D^2 numbers."""


class StepWorkload(msgspec.Struct, frozen=True):
    """The work of one step."""

    shape: ModelShape
    batch_size: int
    seq_len: int
    muon: bool = True

    @property
    def tokens(self) -> int:
        """Tokens predicted in a step."""
        return self.batch_size * self.seq_len


class TimedStep(msgspec.Struct, frozen=True):
    """A step that was timed, in seconds."""

    work: StepWorkload
    forward_backward_seconds: float
    update: float


class StepTimeModel(msgspec.Struct, frozen=True):
    """The numbers a to f of the formula: seconds for a layer, a billion operations, the same times
    D, and in the update for a layer, a billion operations, a million parameters."""

    layer: float
    operations: float
    narrow: float
    update_layer: float
    update_operations: float
    update_parameters: float

    def seconds(self, work: StepWorkload) -> float:
        """Return the time of one step."""
        total_seconds = np.concatenate(_terms(work)) @ np.array(msgspec.structs.astuple(self))
        return float(total_seconds)


def fit_step_time(timed: list[TimedStep]) -> StepTimeModel:
    """Return the rates that fit what was timed best, by relative error."""
    terms = [_terms(t.work) for t in timed]
    ahead = _fit(
        np.stack([t[0] for t in terms]), np.array([t.forward_backward_seconds for t in timed])
    )
    update = _fit(np.stack([t[1] for t in terms]), np.array([t.update for t in timed]))
    return StepTimeModel(*ahead, *update)


def _terms(work: StepWorkload) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shape = work.shape
    operations = work.tokens * training_flops_per_token(shape, work.seq_len) / BILLION
    matrices = shape.num_layers * block_matrix_parameters(shape)
    muon = MUON_OPERATIONS * matrices * shape.embed_dim / BILLION if work.muon else 0.0
    return (
        np.array([shape.num_layers + 1, operations, operations / shape.embed_dim]),
        np.array([shape.num_layers, muon, parameter_count(shape) / 1e6]),
    )


def _fit(terms: NDArray[np.float64], seconds: NDArray[np.float64]) -> list[float]:
    """Coefficients of at least 0 with the least squared relative error."""
    from scipy.optimize import nnls

    coefficients, _ = nnls(terms / seconds[:, None], np.ones(len(seconds)))
    return [float(x) for x in coefficients]
