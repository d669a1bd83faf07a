"""The network as it is before its first step: loss, size of what flows through it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from descend.program_check.probes.network import make_network_handle
from descend.program_check.probes.token_influence import first_tensor
from descend.program_check.program import Program


@dataclass(frozen=True)
class InitialState:
    """Numbers of one forward in evaluation mode."""

    loss: float
    """Mean cross-entropy of the next token, nats per token."""
    uniform: float
    """ln V, the loss of finding all tokens equally likely."""
    finite: bool
    max_rms: float
    """Largest root mean square of what a part of the network puts out, logits not counted."""
    where: str
    from_program: bool
    """Whether the text was the program's."""


def measure_initial_state(program: Program) -> InitialState:
    """Measure one forward pass of the untouched network."""
    net = program.run_probe_once(make_network_handle)
    model = program.model
    model.eval()
    sizes: dict[str, float] = {}

    def measure(name: str) -> Any:
        def record_rms(_module: nn.Module, _args: Any, output: Any) -> None:
            out = first_tensor(output)
            if out is not None and out.shape[-1] != net.vocabulary:
                sizes.setdefault(name, float(out.float().square().mean().sqrt()))

        return record_rms

    hooks = [m.register_forward_hook(measure(n)) for n, m in model.named_modules() if n]
    try:
        with torch.no_grad():
            logits = net.forward(net.ids_BT).float()
    finally:
        for hook in hooks:
            hook.remove()
    ids = net.ids_BT if net.time == 1 else net.ids_BT.T
    logits = logits if net.time == 1 else logits.transpose(0, 1)
    loss = float(
        F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten().to(logits.device))
    )
    where = max(sizes, key=lambda n: sizes[n] if math.isfinite(sizes[n]) else math.inf, default="")
    return InitialState(loss, math.log(net.vocabulary), bool(torch.isfinite(logits).all()),
                 sizes.get(where, 0.0), where, net.from_program)  # fmt: skip
