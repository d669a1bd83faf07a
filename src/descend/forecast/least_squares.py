"""Least squares of a nonlinear formula with a handful of parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from descend.forecast.curve_model import Floats

STEP_SIZE = 1e-4
"""Step of the numeric derivatives, in units of the parameters (logarithms mostly)."""

TOLERANCE = 1e-4
"""Relative change of the cost or the parameters at which a fit ends. Smaller ones made continued
intervals wider on the recorded runs of benchmarks/forecast."""


def minimize_squared_residuals(
    residuals_fn: Callable[[Floats], Floats], start: Floats
) -> tuple[Floats, Floats]:
    """Minimize the sum of squared residuals in a trust region; with J'J at the minimum.

    `residuals_fn` takes (parameters,) to (residuals,), and several rows of parameters to as many
    rows.
    """
    from scipy.optimize import least_squares

    def jacobian(z: Floats) -> Floats:
        shifted = residuals_fn(z + STEP_SIZE * np.eye(len(z)))
        slope: Floats = (shifted - residuals_fn(z)).T / STEP_SIZE
        return slope

    fit = least_squares(
        residuals_fn, start, jac=jacobian, ftol=TOLERANCE, xtol=TOLERANCE, gtol=TOLERANCE
    )
    slope = jacobian(fit.x)
    return fit.x, slope.T @ slope
