"""Training and evaluation mode: whether they differ, and which one the program is in when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from descend.metrics.logit_change import MIN_LOGIT_CHANGE
from descend.program_check.instrumentation.call_recorder import (
    ModelCall,
    PlainCall,
    record_calls,
)
from descend.program_check.instrumentation.state_guard import preserve_state
from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.network import evaluation_probe_mode, make_network_handle
from descend.program_check.probes.recorded_forward import repeated_forward
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

TRIES = 3
"""Forwards with other random numbers: a dropout of 1 % leaves 192 places alone once in 7 times."""

NOISE = frozenset({"randn", "randn_like", "normal", "normal_functional", "randint", "randint_like"})
DRAWS = frozenset({"exponential", "multinomial", "cauchy", "log_normal", "geometric", "poisson"})
MASKS = frozenset({"bernoulli", "native_dropout", "rand", "rand_like", "uniform"})
"""Operations of torch that draw noise and steps of a diffusion, that draw for other purposes, such
as choosing a code, and those that drop numbers."""


def nondeterminism_in_eval(program: Program) -> float:
    """Return the largest difference of logits between forwards in evaluation mode, fraction of
    their size."""
    forward = repeated_forward(program)
    with evaluation_probe_mode(program.model):
        outputs = _outputs(forward)
    return _spread(outputs)


class _RandomOps(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note the names of the operations that draw numbers."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(getattr(func, "overloadpacket", func)).rpartition(".")[2].rstrip("_")
        if name in NOISE | DRAWS | MASKS:
            self.names.add(name)
        return func(*args, **(kwargs or {}))


def draws_noise(program: Program) -> bool:
    """Return whether the network draws noise or codes in evaluation mode and drops nothing."""
    forward = repeated_forward(program)
    with evaluation_probe_mode(program.model), _RandomOps() as drawn:
        forward()
    return bool(drawn.names) and not drawn.names & MASKS


def draws_noise_in_training(program: Program) -> bool:
    """Return whether the network draws normal noise in training mode: a denoiser, or an
    autoencoder."""
    net = program.run_probe_once(make_network_handle)
    with evaluation_probe_mode(program.model), _RandomOps() as drawn:
        for module in program.model.modules():
            module.training = True
        net.forward(net.ids_BT)
    return bool(drawn.names & NOISE)


def modes_matter(program: Program) -> bool:
    """Return whether training mode changes what the network returns, given the same random
    numbers."""
    forward = repeated_forward(program)
    with evaluation_probe_mode(program.model):
        evaluated = _outputs(forward)
        for module in program.model.modules():
            module.training = True
        trained = _outputs(forward)
    return any(_spread([e, t]) > MIN_LOGIT_CHANGE for e, t in zip(evaluated, trained, strict=True))


def _outputs(forward: Callable[[], Tensor]) -> list[Tensor]:
    outputs = []
    for seed in range(TRIES):
        torch.manual_seed(seed)
        outputs.append(forward().float())
    return outputs


def _spread(outputs: list[Tensor]) -> float:
    size = float(outputs[0].square().mean().sqrt()) or 1.0
    spread = max(float((o - outputs[0]).abs().max()) for o in outputs[1:]) / size
    return spread if spread > MIN_LOGIT_CHANGE else 0.0


def evaluates_in_training_mode(program: Program) -> bool:
    """Return whether the program's own evaluation calls the network in training mode."""
    for part in evaluation_parts(program):
        program.model.train()
        with record_calls(program.model) as opened:
            call_part(program, part, *_one_batch(program))
        calls: list[ModelCall | PlainCall] = [*opened.model_calls, *opened.plain_calls]
        eval_calls = [s for s in calls if not s.learned_from]
        if eval_calls and all(s.training for s in eval_calls):
            return True
    return False


def after_evaluation(program: Program) -> str | None:
    """Return the part of the program that evaluates and after which a step of training finds the
    network in evaluation mode; None where it is in training mode after each."""
    for part in evaluation_parts(program):
        with preserve_state(program.namespace, program.parts):
            if _leaves_evaluation_mode(program, part):
                return part
    return None


def evaluation_parts(program: Program) -> list[str]:
    """Return the names of the parts that evaluate."""
    return [part for part in program.parts if part.partition(" ")[0] == "evaluate"]


def _leaves_evaluation_mode(program: Program, part: str) -> bool:
    things = _one_batch(program)
    call_part(program, "step", *things)
    with record_calls(program.model) as opened:
        call_part(program, part, *things)
    is_called = bool(opened.model_calls or opened.plain_calls)
    with record_calls(program.model) as opened:
        call_part(program, "step", *things)
    calls: list[ModelCall | PlainCall] = [*opened.model_calls, *opened.plain_calls]
    train_calls = [s for s in calls if s.learned_from]
    if not train_calls:
        raise UndeterminedError("no gradient came back after an evaluation")
    if all(s.training for s in train_calls):
        return False
    if not is_called:  # a helper, whose caller may set the mode again
        raise UndeterminedError("what sets evaluation mode does not call the network")
    return True


def _one_batch(program: Program) -> tuple[object, ...]:
    return program.run_probe_once(read_first_batches).batches[:1] if program.has("batches") else ()
