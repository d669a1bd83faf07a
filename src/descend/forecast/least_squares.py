"""Least squares of a nonlinear formula: damped Gauss-Newton, for a handful of parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from descend.forecast.curve_model import Floats

STEPS_OF_FIT = 50
"""Most Gauss-Newton steps; a fit of seven parameters takes about ten."""

MIN_CHANGE = 1e-4
"""Standard deviations of the belief within which a fit has arrived."""

DAMPINGS = 8
"""Halvings of a step that does not improve before the fit counts as arrived."""

DIFFERENCE = 1e-4
"""Step of the numeric derivatives, in units of the parameters (logarithms mostly)."""


def gauss_newton(residuals_fn: Callable[[Floats], Floats], start: Floats) -> tuple[Floats, Floats]:
    """Where the sum of squares of `misses` is least, by damped Gauss-Newton; with J'J there.

    `misses` takes (parameters,) to (misses,), and several rows of parameters to as many rows.
    """
    z, residuals = start, residuals_fn(start)
    for _ in range(STEPS_OF_FIT):
        slope = _slope(residuals_fn, z, residuals)
        curvature = slope.T @ slope
        step = -np.linalg.solve(curvature, slope.T @ residuals)
        for halving in range(DAMPINGS):
            tried = z + step / 2**halving
            there = residuals_fn(tried)
            if there @ there < residuals @ residuals:
                break
        else:
            break
        size = float(np.abs(tried - z).max())
        z, residuals = tried, there
        if size < MIN_CHANGE:
            break
    slope = _slope(residuals_fn, z, residuals)
    return z, slope.T @ slope


def _slope(residuals_fn: Callable[[Floats], Floats], z: Floats, here: Floats) -> Floats:
    """The derivatives of `misses` at `z`, (misses, parameters)."""
    shifted = residuals_fn(z + DIFFERENCE * np.eye(len(z)))
    slope: Floats = (shifted - here).T / DIFFERENCE
    return slope
