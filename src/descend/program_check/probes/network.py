"""The network called alone: ids in, logits out, in evaluation mode.

Shapes: B batch, T position, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from descend.program_check.instrumentation.call_recorder import TARGET_NAMES, ModelCall, logits_of
from descend.program_check.instrumentation.token_ids import tokens_of
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.loss_probe import first_model_call
from descend.program_check.program import Program
from descend.program_check.program_failures import format_exception
from descend.program_check.results import UndeterminedError

ROWS, POSITIONS = 4, 48
"""At most so many of both are used: the answer does not depend on more."""

LENGTHS = (48, 32, 16, 8, 4)
"""Tried in turn where no batch shows a length."""


@dataclass(frozen=True)
class NetworkHandle:
    """How the network is called, and ids that it takes."""

    ids_BT: Tensor
    forward: Callable[[Tensor], Tensor]
    """Ids like `ids_BT` to logits (B, T, V), or (T, B, V) where time comes first."""
    time: int
    """The dimension of `ids_BT` along which the text runs."""
    vocabulary: int
    from_program: bool
    """Whether the ids are the program's, not drawn at random."""
    has_known_axis: bool = False
    """Whether the targets show that `time` is the axis of the text."""

    @property
    def length(self) -> int:
        """Positions of `ids_BT`."""
        return self.ids_BT.shape[self.time]

    def with_changed_token(self, position: int) -> Tensor:
        """Return `ids_BT` with another token at `position` of every text."""
        ids = self.ids_BT.clone()
        view = ids if self.time == 1 else ids.T
        others = self.ids_BT.unique()  # type: ignore[no-untyped-call]
        if len(others) > 1:
            index = torch.searchsorted(others, view[:, position].contiguous())
            view[:, position] = others[(index + 1) % len(others)]
        else:
            view[:, position] = (view[:, position] + 1) % self.vocabulary
        return ids

    def by_position(self, values: Tensor) -> Tensor:
        """Return (T, everything else) of something with the dimensions of the ids first."""
        return values.transpose(0, self.time).flatten(1)


def make_network_handle(program: Program) -> NetworkHandle:
    """Find out how to call the network; `UndeterminedError` where that fails."""
    problems: list[str] = []
    forward_calls = list(
        _find_forward_calls(program, problems)
    )  # before the network is called, which changes the weights
    with evaluation_probe_mode(program.model):
        for ids, forward, own in forward_calls:
            try:
                logits = forward(ids)
            except Exception as problem:
                problems.append(format_exception(problem))
                continue
            if logits.numel() // logits.shape[-1] != ids.numel():
                problems.append(f"logits of shape {tuple(logits.shape)}: not one row a token")
                continue
            axis = _target_axis(program)
            time = _time(ids, forward) if axis is None else axis
            return NetworkHandle(ids, forward, time, logits.shape[-1], own, axis is not None)
    raise UndeterminedError(
        "the network cannot be called: " + (problems[0] if problems else "no ids")
    )


def ask_once(program: Program) -> None:
    """Run the network forward once in evaluation mode, for whoever watches it."""
    net = program.run_probe_once(make_network_handle)
    with evaluation_probe_mode(program.model):
        net.forward(net.ids_BT)


def _find_forward_calls(
    program: Program, problems: list[str]
) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor], bool]]:
    model = program.model
    ids = call = None
    try:
        call = first_model_call(program)
        ids = call.ids_BT
    except UndeterminedError as reason:
        problems.append(str(reason))
        if program.has("batches"):
            ids = tokens_of(program.run_probe_once(read_first_batches).batches[0])
    if ids is not None and ids.ndim == 2:
        small = ids[:ROWS, :POSITIONS].long()
        whole = ids[:POSITIONS, :ROWS].long()
        if call is not None and _is_decoder_side(model, call):
            yield ids, _make_forward(model, call), True
        yield from ((x, _plain(model), True) for x in (small, whole))
        if call is not None:
            yield ids, _make_forward(model, call), True
        return
    size = vocabulary_of(model)
    if size is None or ids is not None:
        return
    problems.clear()
    for length in LENGTHS:
        yield torch.randint(size, (ROWS, length), device=device_of(model)), _plain(model), False


def _is_decoder_side(model: nn.Module, call: ModelCall) -> bool:
    """Return whether the ids came in an argument with a name of targets: what a decoder reads."""
    try:
        given = inspect.signature(model.forward).bind_partial(*call.args, **call.kwargs).arguments
    except (TypeError, ValueError):
        return False
    return any(v is call.input_ids_arg and n in TARGET_NAMES for n, v in given.items())


def vocabulary_of(model: nn.Module) -> int | None:
    """Return rows of the embedding that takes token ids: the first that is registered."""
    sizes = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)]
    return sizes[0] if sizes else None


def device_of(model: nn.Module) -> torch.device:
    """Return where the weights are."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _plain(model: nn.Module) -> Callable[[Tensor], Tensor]:
    target = inspect.signature(model.forward).parameters
    word = next((w for w in ("targets", "labels", "target", "y") if w in target), None)

    def forward(ids: Tensor) -> Tensor:
        logits = None
        ids = ids.to(device_of(model))
        if word is None or target[word].default is not inspect.Parameter.empty:
            logits = logits_of(model(ids))
        if word is not None and (logits is None or logits.shape[-2] != ids.shape[-1]):
            # nanoGPT's model gives all logits only where it is given targets.
            logits = logits_of(model(ids, **{word: ids}))
        return _whole(logits, ids)

    return forward


def _make_forward(model: nn.Module, call: ModelCall) -> Callable[[Tensor], Tensor]:
    def forward(ids: Tensor) -> Tensor:
        def swap(value: Any) -> Any:
            return ids if value is call.input_ids_arg else value

        kwargs = {k: swap(v) for k, v in call.kwargs.items()}
        if call.is_inner:  # the decoder's, made of the labels inside an encoder-decoder
            if "decoder_input_ids" not in inspect.signature(model.forward).parameters:
                raise UndeterminedError("the network makes the decoder's tokens inside")
            kwargs = {k: v for k, v in kwargs.items() if k != "labels"}
            kwargs["decoder_input_ids"] = ids
        return _whole(logits_of(model(*map(swap, call.args), **kwargs)), ids)

    return forward


def _whole(logits: Tensor | None, ids: Tensor) -> Tensor:
    if logits is None:
        raise UndeterminedError("the network returns no logits")
    if logits.ndim == 2 and logits.shape[0] == ids.numel():
        return logits.reshape(*ids.shape, -1)
    return logits


MIN_AGREEMENT, MAX_AGREEMENT = 0.9, 0.5
"""Fractions of the targets that are the next token along the text, and along the batch."""


def _target_axis(program: Program) -> int | None:
    """Return the axis of a batch along which the targets are the next tokens; None where that is
    not one of the two."""
    try:
        call = first_model_call(program)
    except UndeterminedError:
        return None
    y, w, ids = call.targets_BT, call.weights_BT, call.ids_BT
    if y is None or w is None or y.shape != ids.shape or ids.ndim != 2:
        return None
    agreement = {}
    for axis in (0, 1):
        y_BT, w_BT, ids_BT = (x if axis == 1 else x.T for x in (y, w, ids))
        is_next = (y_BT[:, :-1] == ids_BT[:, 1:])[w_BT[:, :-1] > 0]
        agreement[axis] = float(is_next.float().mean()) if len(is_next) else 0.0
    best = max(agreement, key=lambda axis: agreement[axis])
    is_clear = agreement[best] >= MIN_AGREEMENT and agreement[1 - best] <= MAX_AGREEMENT
    return best if is_clear else None


def _time(ids: Tensor, forward: Callable[[Tensor], Tensor]) -> int:
    """Return 1, or 0 where a change at the first place is felt down the columns and not along the
    rows."""
    if ids.shape[0] < 2 or ids.shape[1] < 2:
        return 1
    changed = ids.clone()
    changed[0, 0] = next((t for t in ids.flatten().tolist() if t != int(ids[0, 0])), 0)
    is_changed = (forward(ids) - forward(changed)).abs().amax(-1) > 0
    return 0 if bool(is_changed[1:, 0].any()) and not bool(is_changed[0, 1:].any()) else 1


@contextmanager
def evaluation_probe_mode(model: nn.Module) -> Iterator[None]:
    """Provide evaluation mode, no gradients, the same random numbers, and nothing that is silent.

    Weights that start at zero (gates, outputs of blocks, heads) would hide what the rest does:
    they are given small values for the while. Whoever uses this puts the weights back.
    """
    model.eval()
    for module in model.modules():
        module.training = False
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.endswith("bias") and weight.numel() and not bool(weight.any()):
                weight.normal_(0.0, 0.05)
        yield
