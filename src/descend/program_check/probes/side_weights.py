"""Weights that take part in a step beside those that the checked network has registered.

An encoder before it, or layers that it keeps in a plain list: `model.parameters()` has none of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from descend.program_check.instrumentation.call_recorder import logits_of
from descend.program_check.instrumentation.object_graph import reachable_objects
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.program import Program, seed_all
from descend.program_check.results import UndeterminedError

MAX_PERTURBED = 16
"""Weights that are shaken, each with a step of its own."""


def side_weights(program: Program) -> dict[str, Tensor]:
    """Return trainable weights of the program's other networks, of layers that none registers, and
    those that only an optimizer holds."""
    known = {id(p) for p in program.model.parameters()}
    weights: dict[str, Tensor] = {}
    for name, module in _named_modules(program):
        for inner, p in module.named_parameters(prefix=name):
            if id(p) not in known and p.requires_grad and p.is_leaf:
                known.add(id(p))
                weights[inner] = p
    optimized = [p for o in program.optimizers for g in o.param_groups for p in g["params"]]
    for number, p in enumerate(optimized):  # a plain tensor, such as a temperature that is learned
        if id(p) not in known and p.requires_grad and p.is_leaf:
            names = (n for n, v in program.namespace.items() if v is p)
            weights[next(names, f"weight {number} of an optimizer")] = p
    return weights


def _named_modules(program: Program) -> Iterator[tuple[str, nn.Module]]:
    """Yield networks by the names that the program gives them, then layers in plain lists and
    dicts."""
    for name, value in list(program.namespace.items()):
        if isinstance(value, nn.Module) and not name.startswith("_"):
            yield name, value
    for outer, module in program.model.named_modules():
        for attribute, value in vars(module).items():
            if not attribute.startswith("_"):
                prefix = f"{outer}.{attribute}" if outer else attribute
                yield from ((f"{prefix}[{key!r}]", m) for key, m in _modules_in(value))
    reachable = reachable_objects(program.namespace, program.parts)
    for holder in reachable:  # among them the attributes of the program's own objects
        for name, value in list(holder.items()) if isinstance(holder, Mapping) else ():
            if isinstance(value, nn.Module):
                yield str(name), value
    others = [v for v in reachable if isinstance(v, nn.Module)]
    yield from ((f"{type(m).__name__} {n}", m) for n, m in enumerate(others, 1))


def _modules_in(value: object) -> Iterator[tuple[object, nn.Module]]:
    items = value.items() if isinstance(value, Mapping) else (
        enumerate(value) if isinstance(value, list | tuple) else ())  # fmt: skip
    yield from ((key, m) for key, m in items if isinstance(m, nn.Module))


def weights_affecting_step(program: Program, weights: Mapping[str, Tensor]) -> list[str]:
    """Return those of `weights` that the logits of a step depend on, as `step` calls the
    network."""
    base = _logits_of_step(program)
    affecting = []
    for name, weight in list(weights.items())[:MAX_PERTURBED]:
        saved = weight.detach().clone()
        with torch.no_grad():
            size = float(saved.float().std()) if saved.numel() > 1 else 0.0
            weight.add_(torch.randn_like(weight) * (size or 1.0))
        other = _logits_of_step(program)
        with torch.no_grad():
            weight.copy_(saved)
        if other.shape == base.shape and not torch.equal(other, base):
            affecting.append(name)
    return affecting


def _logits_of_step(program: Program) -> Tensor:
    """Return the first logits of one step on the first batch, from the same random numbers."""
    logits_list: list[Tensor] = []

    def note(_module: nn.Module, _args: object, output: object) -> None:
        logits = logits_of(output)
        if logits is not None:
            logits_list.append(logits.detach().clone())

    things = (
        program.run_probe_once(read_first_batches).batches[:1] if program.has("batches") else ()
    )
    hook = program.model.register_forward_hook(note)
    try:
        with preserve_state(program.namespace, program.parts):
            seed_all()
            call_part(program, "step", *things)
    finally:
        hook.remove()
    if not logits_list:
        raise UndeterminedError("a step gives no logits")
    return logits_list[0]
