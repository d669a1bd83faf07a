"""Knowledge distillation (Hinton et al. 2015): learn what finished models predict as well.

A token of a text tells one right answer. The mean prediction of several teachers tells how likely
every token is there, so the same text teaches more before a model overfits.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from descend.config import RunConfig
from descend.data.tokenizer import Tokenizer
from descend.errors import ConfigError
from descend.machine import Execution
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.training.cuda_graphs import LossFn
from descend.training.loss import can_use_custom_cross_entropy, choose_runner, cross_entropy

TEACHER_WEIGHT = 0.7
"""Fraction of the gradient that follows the teachers; the rest follows the text. Measured in
docs/recipe.md."""


def load_teachers(config: RunConfig, tokenizer: Tokenizer, device: str) -> tuple[Transformer, ...]:
    """Load the models in `config.teachers`, in evaluation mode on `device`.

    Raises `ConfigError` for a model of another tokenizer or of a shorter context, and what
    `load_model` raises.
    """
    teachers = []
    for folder in config.teacher_folders:
        loaded = load_model(Path(folder), device)
        if loaded.tokenizer.fingerprint != tokenizer.fingerprint:
            raise ConfigError(
                "teachers", f"{folder} with another tokenizer", "models with this run's tokenizer",
                f"set vocab_path to {Path(folder) / 'tokenizer.json'}, or leave the model out",
            )  # fmt: skip
        if loaded.model.shape.max_seq_len < config.seq_len:
            raise ConfigError(
                "teachers", f"{folder} with a context of {loaded.model.shape.max_seq_len} tokens",
                f"models with at least seq_len {config.seq_len}", "lower seq_len",
            )  # fmt: skip
        teachers.append(loaded.model.requires_grad_(False).eval())
    return tuple(teachers)


def make_distillation_loss(teachers: tuple[Transformer, ...], execution: Execution) -> LossFn:
    """Make the loss of a batch that follows the text and the mean prediction of `teachers`.

    Its value is the cross-entropy of the text alone, so that it compares with runs without
    teachers. Its gradient is that of the weighted sum (`TEACHER_WEIGHT`).
    """
    run = choose_runner(execution)

    def compute(
        model: Transformer, inputs_BT: Tensor, targets_BT: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            expected_BTV = run(predict_probabilities, teachers[0], inputs_BT)
            for teacher in teachers[1:]:
                expected_BTV = expected_BTV + run(predict_probabilities, teacher, inputs_BT)
            expected_BTV = expected_BTV / len(teachers)
        loss, hits = run(taught_loss, model, inputs_BT, targets_BT, label_smoothing, expected_BTV)
        return loss, hits

    return compute


def predict_probabilities(norm: nn.Module, head: nn.Module, x_BTD: Tensor) -> Tensor:
    """Return the probability of each next token, float32 (B, T, V), from what the last block
    gives."""
    logits_BTV: Tensor = head(norm(x_BTD))
    return logits_BTV.float().softmax(-1)


def taught_loss(
    norm: nn.Module,
    head: nn.Module,
    x_BTD: Tensor,
    targets_BT: Tensor,
    label_smoothing: float,
    expected_BTV: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the loss in nats per token, and how many tokens the model holds likeliest are
    right."""
    logits_NV, targets_N = head(norm(x_BTD)).flatten(0, 1), targets_BT.flatten()
    expected_NV = expected_BTV.flatten(0, 1)
    if can_use_custom_cross_entropy(logits_NV):
        return cross_entropy(logits_NV, targets_N, label_smoothing, expected_NV, TEACHER_WEIGHT)
    logits_NV = logits_NV.float()
    hits = (logits_NV.detach().argmax(-1) == targets_N).sum()
    log_probs_NV = logits_NV.log_softmax(-1)
    text_loss = F.nll_loss(log_probs_NV, targets_N)
    if label_smoothing:
        even_loss = -log_probs_NV.mean()
        text_loss = (1 - label_smoothing) * text_loss + label_smoothing * even_loss
    teacher_loss = -(expected_NV * log_probs_NV).sum(-1).mean()
    mixed = (1 - TEACHER_WEIGHT) * text_loss + TEACHER_WEIGHT * teacher_loss
    return mixed + (text_loss - mixed).detach(), hits
