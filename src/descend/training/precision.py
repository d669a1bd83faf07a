"""Number formats: what the matrix products are computed in; weights stay float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from descend.machine import Execution


def autocast_precision(execution: Execution, keep: bool = True) -> AbstractContextManager[object]:
    """Inside it, matrix products run in the precision of `execution`.

    Weights that were rounded once are kept until its end, unless `keep` is false, or processes
    divide them.
    """
    if execution.precision == "float32":
        return nullcontext()
    dtype = torch.bfloat16 if execution.precision == "bfloat16" else torch.float16
    return torch.autocast(
        torch.device(execution.device).type,
        dtype=dtype,
        cache_enabled=keep and not execution.sharded,
    )


def make_grad_scaler(execution: Execution) -> torch.amp.GradScaler:
    """Scales losses so that float16 gradients do not underflow; idle in other precisions.

    Source: Micikevicius et al. 2018, "Mixed precision training".
    """
    kind = torch.device(execution.device).type
    return torch.amp.GradScaler(kind, enabled=execution.precision == "float16")
