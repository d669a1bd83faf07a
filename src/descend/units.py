"""Numbers with their units, as a person reads them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from decimal import Decimal
from os import PathLike


def quoted(path: str | PathLike[str]) -> str:
    """`path` as it is typed in a shell, within a command that is suggested."""
    return shlex.quote(str(path))


def humanize_name(name: str) -> str:
    """Return the name of a cause, a metric, or a setting as words."""
    return name.replace("_", " ")


def list_names(names: Sequence[str], limit: int = 4) -> str:
    """Return `a, b, c`, or of more than `limit` names the first ones: `a, b and 7 more`."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def format_significant(value: float) -> str:
    """Three significant digits, without a power of ten: `0.00123`."""
    digits = f"{value:.3g}"
    if "e" not in digits:
        return digits
    return f"{value:,.0f}" if abs(value) >= 1 else f"{float(digits):.12f}".rstrip("0")


def format_plain(value: object) -> str:
    """Return the value of a setting without a power of ten: `0.0000037` for 3.7e-06."""
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def format_duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_count(count: int, word: str) -> str:
    """`1 seed`, `3 seeds`, `2,000 seeds`."""
    return f"{count:,} {word}{'s' * (count != 1)}"


def format_epochs(num_epochs: float) -> str:
    """`3 epochs`, or, where the last one was not read to its end, `2.4 epochs`.

    A second digit where the first is 0: `2.04 epochs`, not the `2.0` that looks whole.
    """
    if num_epochs == round(num_epochs):
        return format_count(round(num_epochs), "epoch")
    if num_epochs < 1:
        return f"{min(num_epochs, 0.99):.2g} epochs"
    text = f"{num_epochs:.1f}"
    return f"{num_epochs:.2f} epochs" if text.endswith(".0") else f"{text} epochs"


def format_part_read(num_epochs: float) -> str:
    """`7.7%`: the part of a text that was read, where that is less than all of it."""
    return f"{min(100 * num_epochs, 99.0):.2g}%"


def perplexity(loss: float) -> str:
    """exp of a loss in nats, `35.2`; of one that exploded, only that it is over a million."""
    return f"{math.exp(loss):,.1f}" if loss < math.log(1e6) else "over 1,000,000"


def format_percentage_points(difference: float) -> str:
    """`-1.4 points`: of two shares, in percentage points; a percentage would be of the first."""
    return f"{100 * difference:+.1f} points"


def format_bytes(nbytes: float) -> str:
    """`3.2 kB`, `17 MB`, `1.4 GB`; powers of ten."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= factor:
            value = nbytes / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{nbytes:.0f} bytes"


def describe_split_method(method: str) -> str:
    """Return what stands after "split by": of a block, also which one is held out."""
    return f"{method} (the end of the text is held out)" if method == "block" else method
