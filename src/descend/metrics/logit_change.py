"""How much a changed token moves what a network says at each position."""

from __future__ import annotations

from torch import Tensor

MIN_LOGIT_CHANGE = 1e-5
"""Change of a logit, as a fraction of their root mean square, that rounding does not explain
(float32 keeps 1e-7; sums over a thousand terms lose a digit)."""


def relative_logit_change(base: Tensor, other: Tensor) -> Tensor:
    """Change of each logit as a fraction of the root mean square of all of `base`; same shape."""
    size = base.float().square().mean().sqrt().clamp_min(1e-30)
    return (other.float() - base.float()).abs() / size
