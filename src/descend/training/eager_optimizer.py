"""Optimizers that leave torch's compiler unloaded."""

from __future__ import annotations

import inspect

import torch
from torch.optim import AdamW, Optimizer


class EagerOptimizer(Optimizer):
    """An optimizer that is never part of a compiled function.

    torch wraps these methods so that its compiler leaves them alone. At the first call the wrapper
    imports the compiler to tell it so (`torch/_compile.py`), which takes three seconds of a core in
    every process that trains. Here they are the functions below the wrappers.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class EagerAdamW(EagerOptimizer, AdamW):
    """AdamW of torch, bit for bit. Its step is not differentiable."""

    step = torch.no_grad()(inspect.unwrap(AdamW.step))
