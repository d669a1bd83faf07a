"""LoRA: small matrices that are trained beside the frozen weights of a model (Hu et al. 2021).

The adapters are those of `peft`. They are merged into the weights when a run ends, so that the
saved model is like any other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from descend.errors import MissingDependencyError, RunFolderError
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.runs.run_files import RunMetadata

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

DEFAULT_RANK = 16
"""Rank that is chosen automatically: that of the examples of `peft` for language models."""

LORA_ALPHA = 32
"""Adapters are multiplied by this, divided by their rank (Schulman et al. 2025)."""

LORA_LR_MULTIPLIER = 10.0
"""Rate of adapters in units of `learning_rate`: the best rate is about ten times that of all
weights, at every rank (Schulman et al. 2025, "LoRA Without Regret")."""

MATRICES = ("query", "key", "value", "output", "gate", "up", "down")
"""All matrices of a block: adapters in the attention alone learn less (the same source)."""


def add_adapters(parent: Transformer, dropout_rate: float, rank: int) -> Transformer:
    """Return a network with adapters of `rank` whose other weights are those of `parent`, frozen.

    The weights are shared, not copied. `MissingDependencyError` without the package peft.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingDependencyError(
            "lora_rank", f"{rank}, but no package `peft`", "the package of the extra `lora`",
            "run `pip install 'descend[lora]'`",
        ) from None  # fmt: skip
    with torch.device("meta"):
        model = Transformer(parent.shape, dropout_rate)
    model.load_state_dict(parent.state_dict(), assign=True)
    if parent.shape.is_tied:
        model.head.weight = model.token_embedding.weight
    config = LoraConfig(r=rank, lora_alpha=LORA_ALPHA, target_modules=list(MATRICES))
    with torch.random.fork_rng(devices=[]):  # `reset_adapters` draws their weights
        inject_adapter_in_model(config, model)
    return model


def reset_adapters(model: Transformer, seed: int) -> None:
    """Fill the adapters of `model` with first weights drawn from `seed`: they change nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _, layer in _adapted_layers(model):
            for name in layer.active_adapters:
                layer.reset_lora_parameters(name, True)


def merge_adapters(model: Transformer) -> None:
    """Add the adapters of `model` to its weights, and remove them."""
    for name, layer in _adapted_layers(model):
        layer.merge()
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, layer.get_base_layer())
    model.requires_grad_(True)


def has_adapters(model: Transformer) -> bool:
    """Return whether only adapters of `model` are trained."""
    return not model.token_embedding.weight.requires_grad


def hash_weights(model: Transformer) -> str:
    """Return a hash of the weights of `model`, beside which adapters are trained."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in model.parameters():
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_frozen_parent(info: RunMetadata) -> Transformer | None:
    """Return the model beside which the run of `info` trains adapters; None for all weights.

    `RunFolderError` for a model that is gone or is another one.
    """
    if not info.resolved_config.get("lora_rank") or info.parent is None:
        return None
    parent = load_model(Path(info.parent)).model
    if hash_weights(parent) != info.parent_hash:
        raise RunFolderError(
            info.parent, "another model than the one whose adapters were trained",
            "the model that the run began with", "restore it, or begin a new run with it",
        )  # fmt: skip
    return parent


def _adapted_layers(model: Transformer) -> list[tuple[str, LoraLayer]]:
    from peft.tuners.lora import LoraLayer

    return [(name, m) for name, m in model.named_modules() if isinstance(m, LoraLayer)]
