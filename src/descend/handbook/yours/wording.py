"""Numbers and suggestions as the sections on a run write them."""

from __future__ import annotations


def rate(value: float) -> str:
    """Three significant digits, without a power of ten: `0.00123`."""
    digits = f"{value:.3g}"
    return f"{value:.10f}".rstrip("0") if "e-" in digits else digits


def trial(*changes: tuple[str, object]) -> str:
    """`try --batch-size 8 or --batch-size 2`: flags of `descend train`."""
    flags = [f"`--{key.replace('_', '-')} {_value(value)}`" for key, value in changes]
    return "try " + " or ".join(flags)


def _value(value: object) -> str:
    return rate(value) if isinstance(value, float) else str(value)
