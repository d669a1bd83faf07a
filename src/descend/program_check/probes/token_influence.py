"""Which positions of a text a network lets act on which: changed tokens, moved logits.

Shapes: B batch, T position, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from descend.metrics.logit_change import MIN_LOGIT_CHANGE, relative_logit_change
from descend.program_check.probes.network import (
    NetworkHandle,
    evaluation_probe_mode,
    make_network_handle,
)
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

MIN_LOGIT_CHANGE_HALF = 1e-2
"""What `MOVED` is for float32, for float16 and bfloat16."""


@dataclass(frozen=True)
class FutureInfluence:
    """What later tokens do to earlier logits."""

    pairs: int
    num_affected: int
    """Of `pairs` (earlier, later), those where the earlier logits move."""
    nearest: tuple[int, int] | None
    """The felt pair that is least far apart."""
    max_relative_change: float
    """Largest move, as a fraction of the root mean square of the logits."""
    balance: float
    """What a token in the middle does to those before it, over what it does to those after it."""
    open_parts: tuple[str, ...]
    """Names of the parts of the network that mix positions and let some of the future through."""
    closed_parts: tuple[str, ...]
    """Those that do not let all of it through."""
    sees_own_token: bool = True
    """Whether the token at a position moves its logits: not if the network shifts inside."""


def measure_future_influence(program: Program) -> FutureInfluence:
    """Change one token at a time and watch the logits before it."""
    net = program.run_probe_once(make_network_handle)
    if net.length < 3:
        raise UndeterminedError("the texts are shorter than three tokens")
    with evaluation_probe_mode(program.model):
        base = net.forward(net.ids_BT).float()
        again = net.forward(net.ids_BT).float()
        if not torch.isfinite(base).all():
            raise UndeterminedError("the logits are not finite")
        if float(relative_logit_change(base, again).max()) > MIN_LOGIT_CHANGE:
            raise UndeterminedError("the logits differ from call to call")
        limit = _limit(program.model)
        last = net.length - 1
        positions = sorted({1, 2, last // 2, last} - {0})
        by_T = {
            position: net.by_position(
                relative_logit_change(base, net.forward(net.with_changed_token(position)))
            ).amax(1)
            for position in (0, *positions)
        }
        if all(float(change[position:].max()) <= limit for position, change in by_T.items()):
            raise UndeterminedError("no token moves any logit")
        felt = [(t, p) for p in positions for t in range(p) if float(by_T[p][t]) > limit]
        middle = by_T[last // 2]
        past = float(middle[last // 2 + 1 :].median())
        nearest = min(felt, key=lambda pair: pair[1] - pair[0], default=None)
        doors, walls = _parts(program.model, net, nearest) if nearest else ((), ())
    return FutureInfluence(
        pairs=sum(positions),
        num_affected=len(felt),
        nearest=nearest,
        max_relative_change=max(float(by_T[p][:p].max()) for p in positions),
        balance=float(middle[: last // 2].median()) / past if past > 0 else 0.0,
        open_parts=doors,
        closed_parts=walls,
        sees_own_token=any(float(change[position]) > limit for position, change in by_T.items()),
    )


def _limit(model: nn.Module) -> float:
    kinds = {p.dtype for p in model.parameters()}
    return MIN_LOGIT_CHANGE_HALF if kinds & {torch.float16, torch.bfloat16} else MIN_LOGIT_CHANGE


@dataclass(frozen=True)
class MixingLayer:
    """A part of the network that takes (B, T, D) and lets positions act on each other."""

    name: str
    module: nn.Module
    x: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def output(self, x: Tensor) -> Tensor:
        """Return what it makes of `x` in place of what it was given."""

        def swap(value: Any) -> Any:
            return x if value is self.x else value

        kwargs = {k: swap(v) for k, v in self.kwargs.items()}
        out = first_tensor(self.module(*map(swap, self.args), **kwargs))
        assert out is not None
        return out


def first_tensor(value: Any) -> Tensor | None:
    """Return the first floating-point tensor in what a module returns."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, tuple | list):
        return next((x for x in map(first_tensor, value) if x is not None), None)
    return None


def find_mixing_layers(model: nn.Module, net: NetworkHandle) -> Iterator[MixingLayer]:
    """Yield the innermost parts in which the first position acts on the last, in order of their
    calls."""
    caught: dict[str, MixingLayer] = {}
    names = {id(m): n for n, m in model.named_modules()}

    def catch(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        x = first_tensor((*args, *kwargs.values()))
        out = first_tensor(output)
        if x is None or out is None or x.ndim != 3 or out.shape[:2] != x.shape[:2]:
            return
        if x.shape[:2] == net.ids_BT.shape:
            name = names[id(module)]
            caught.setdefault(name, MixingLayer(name, module, x, args, kwargs))

    hooks = [m.register_forward_hook(catch, with_kwargs=True) for m in model.modules()
             if m is not model]  # fmt: skip
    try:
        net.forward(net.ids_BT)
    finally:
        for hook in hooks:
            hook.remove()
    layers = [m for m in caught.values() if influences(m, net, 0, net.length - 1)]
    outer = {".".join(m.name.split(".")[:n]) for m in layers for n in range(m.name.count(".") + 1)}
    yield from (m for m in layers if m.name not in outer)


def influences(mixer: MixingLayer, net: NetworkHandle, cause: int, effect: int) -> bool:
    """Return whether another input at position `cause` moves the output at `effect`."""
    changed = mixer.x.clone()
    view = changed if net.time == 1 else changed.transpose(0, 1)
    view[:, cause] = -view[:, cause] + 0.5
    try:
        base, other = mixer.output(mixer.x), mixer.output(changed)
    except Exception:  # a part that cannot be called twice tells nothing
        return False
    size = base.float().square().mean().sqrt().clamp_min(1e-30)
    change = net.by_position((other - base).float().abs() / size).amax(1)
    return float(change[effect]) > MIN_LOGIT_CHANGE


def _parts(
    model: nn.Module, net: NetworkHandle, nearest: tuple[int, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of the parts that let some of the future through, and of those that hide
    some."""
    earlier, later = nearest
    doors: list[str] = []
    walls: list[str] = []
    for mixer in find_mixing_layers(model, net):
        fully = influences(mixer, net, net.length - 1, 0)
        if fully or influences(mixer, net, later, earlier):
            doors.append(mixer.name)
        if not fully:
            walls.append(mixer.name)
    return tuple(doors), tuple(walls)
