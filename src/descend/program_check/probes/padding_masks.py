"""Padding masks that the attention of torch and transformers is given, beside the token ids."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

NUM_STEPS = 3
ATTENTION = (
    nn.MultiheadAttention, nn.Transformer, nn.TransformerEncoder, nn.TransformerEncoderLayer,
    nn.TransformerDecoder, nn.TransformerDecoderLayer,
)  # fmt: skip
PADDING_MASKS = frozenset(
    {"key_padding_mask", "src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask"}
)
"""Arguments of those: True, or minus infinity, is left out."""
ATTENTION_MASK = "attention_mask"
"""Argument of the networks of transformers: 0 is left out."""
HIDDEN = -1e4
"""Number in a mask of numbers under which a position is left out."""


@dataclass(frozen=True)
class PaddingMask:
    """A mask of one call, beside the ids of its positions."""

    part: str
    """Name of the part of the network that was given it."""
    argument: str
    hidden_BT: Tensor
    """Where it lets nobody look."""
    ids_BT: Tensor


@dataclass
class _Recorder:
    """Notes masks and ids while a step runs."""

    masks: list[tuple[str, str, Tensor]] = field(default_factory=list)
    ids: list[Tensor] = field(default_factory=list)

    def pairs(self) -> Iterator[PaddingMask]:
        """Yield each mask with the ids that have its shape, or its shape transposed."""
        for part, argument, hidden_BT in self.masks:
            for ids in self.ids:
                ids_BT = ids if ids.shape == hidden_BT.shape else ids.T
                if ids_BT.shape == hidden_BT.shape:
                    yield PaddingMask(part, argument, hidden_BT, ids_BT)
                    break


def record_padding_masks(program: Program) -> list[PaddingMask]:
    """Return the padding masks of the first steps, for each part of the network that gets one."""
    batches = program.run_probe_once(read_first_batches).batches if program.has("batches") else ()
    masks: list[PaddingMask] = []
    for number in range(NUM_STEPS):
        recorder = _Recorder()
        with _recording(program.model, recorder):
            call_part(program, "step", *batches[number % len(batches) :][:1] if batches else ())
        masks += recorder.pairs()
    if not masks:
        raise UndeterminedError("no attention of torch or transformers is given a padding mask")
    return masks


@contextmanager
def _recording(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding):
            hooks.append(module.register_forward_pre_hook(
                lambda _module, args: _note_ids(args, recorder)
            ))  # fmt: skip
        elif isinstance(module, ATTENTION) or _is_of_transformers(module):
            hooks.append(module.register_forward_pre_hook(
                lambda module, args, kwargs, part=name: _note_masks(
                    module, args, kwargs, part, recorder
                ),
                with_kwargs=True,
            ))  # fmt: skip
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_of_transformers(module: nn.Module) -> bool:
    """Return whether a module is a whole network of transformers, which its class says."""
    return any(
        kind.__name__ == "PreTrainedModel" and kind.__module__.startswith("transformers.")
        for kind in type(module).__mro__
    )


def _note_ids(args: tuple[Any, ...], recorder: _Recorder) -> None:
    ids = args[0] if args else None
    if isinstance(ids, Tensor) and ids.ndim == 2 and not ids.is_floating_point():
        recorder.ids.append(ids.detach().clone())


def _note_masks(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], part: str, recorder: _Recorder
) -> None:
    try:
        given = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
    except TypeError:
        return  # the call will fail by itself
    for argument, mask in given.items():
        if not isinstance(mask, Tensor) or mask.ndim != 2:
            continue
        if argument in PADDING_MASKS and isinstance(module, ATTENTION):
            hidden = mask <= HIDDEN if mask.is_floating_point() else mask.bool()
        elif argument == ATTENTION_MASK and not isinstance(module, ATTENTION):
            hidden = mask == 0
        else:
            continue
        recorder.masks.append((part, argument, hidden.detach().clone()))
    if not isinstance(module, ATTENTION):
        _note_ids((given.get("input_ids"),), recorder)


def looks_at_padding_only(mask: PaddingMask) -> bool:
    """Return whether all that the mask lets see is one token, and what it hides are several."""
    visible = torch.unique(mask.ids_BT[~mask.hidden_BT])
    hidden = torch.unique(mask.ids_BT[mask.hidden_BT])
    return len(visible) <= 1 < len(hidden) and not bool(torch.isin(visible, hidden).any())
