"""The metric of a program out of what it prints."""

from __future__ import annotations

import math
import re
import statistics

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf))"


def read_metric(output: str, name: str) -> float | None:
    """Return the last value of the metric `name` in `output`; None where it is not printed.

    Of a metric that is printed often, such as the loss of each step, the mean of the last tenth.
    Not a number counts as infinite. Read are `name 3.2`, `name: 3.2`, `name=3.2`, and `'name':
    '3.2'`, with spaces or underscores in the name.
    """
    spelled = r"[ _/-]".join(re.escape(part) for part in re.split(r"[ _/-]", name))
    pattern = re.compile(
        rf"(?<![A-Za-z0-9_]){spelled}['\"]?\s*[:=|]?\s*['\"]?(?:tensor\()?{_NUMBER}", re.IGNORECASE
    )
    values = [float(value) for value in pattern.findall(output)]
    if not values:
        return None
    last = values[-max(1, len(values) // 10) :]
    mean = statistics.fmean(last)
    return mean if math.isfinite(mean) else math.inf
