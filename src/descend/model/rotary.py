"""Angles of rotary positions (Su et al. 2021).

Shapes: T positions, K head size, J = K / 2 frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.model.shape import ModelShape, RotaryScaling


def rotary_angles(positions_T: Tensor, shape: ModelShape) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of each position's angles, (T, J) each, in float32."""
    frequencies_J = rotary_frequencies(shape, positions_T.device)
    if shape.details.rotary_scaling is not None:
        frequencies_J = scale_frequencies(frequencies_J, shape.details.rotary_scaling)
    angles = positions_T.float()[:, None] * frequencies_J
    return angles.cos(), angles.sin()


def rotary_frequencies(shape: ModelShape, device: torch.device | None = None) -> Tensor:
    """Return the radians per position of each pair, before any scaling, (J) in float32."""
    exponents_J = torch.arange(0, shape.head_dim, 2, device=device) / shape.head_dim
    frequencies_J: Tensor = shape.details.rotary_base**-exponents_J
    return frequencies_J


def scale_frequencies(frequencies_J: Tensor, scaling: RotaryScaling) -> Tensor:
    """Return frequencies (J) as `scaling` says, by the formulas of `transformers`."""
    slow_J = frequencies_J / scaling.factor
    if scaling.kind == "linear":
        return slow_J
    turns_J = scaling.original_max_seq_len * frequencies_J / (2 * math.pi)
    span = scaling.high_freq_factor - scaling.low_freq_factor
    blend_J = ((turns_J - scaling.low_freq_factor) / span).clamp(0, 1)
    return (1 - blend_J) * slow_J + blend_J * frequencies_J
