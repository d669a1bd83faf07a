"""What is said before a run of what was chosen for it."""

from __future__ import annotations

import logging
from typing import Any

from descend.training.assembly import RunAssembly
from descend.training.execution.backends import describe_execution, forced_keys
from descend.training.recipe import automatic_values
from descend.units import format_bytes

logger = logging.getLogger(__name__)

OVERLAP_WORTH_A_WORD = 0.02
"""Fraction of validation tokens found in training from which the user is warned: below it the
effect on the loss is under about 0.05 nat, since a passage memorized costs nearly nothing of 3."""


def describe_choices(assembly: RunAssembly) -> tuple[str, ...]:
    """Sentences on what the recipe and the machine decided."""
    config, resolved, store = assembly.requested, assembly.config, assembly.store
    own_tokens, choice = assembly.parent is None, assembly.tuning
    assert choice is not None
    filled: dict[str, Any] = {"vocab_size": resolved.vocab_size, "epoch": resolved.epoch}
    for key in ("token_dropout", "bpe_dropout"):
        if value := getattr(resolved, key):
            filled[key] = value
    if not own_tokens:
        del filled["vocab_size"]
    if config.max_steps:  # then it, not the size of the text, decides how many passes are begun
        del filled["epoch"]
    by_size = automatic_values(config, filled)
    notes = []
    if assembly.too_long_context:
        few = f"{len(store.train)} tokens of text to train on: seq_len = {resolved.seq_len}"
        notes.append(f"{few} instead of {assembly.too_long_context}")
    if by_size:
        words = ", ".join(f"{key} = {value}" for key, value in by_size.items())
        notes.append(f"chosen for {format_bytes(store.info.train_bytes)} of training text: {words}")
    got = store.tokenizer.vocab_size
    if own_tokens and config.vocab_size not in (None, got):
        giver = "the text" if config.tokenizer == "bpe" else f"the {config.tokenizer} tokenizer"
        notes.append(f"vocab_size is {got:,}, not {config.vocab_size:,}: {giver} gives no more")
    notes.append(_describe_speed(assembly))
    notes += _large_batch_warning(assembly)
    if config.gradient_accumulation_steps is None and (parts := resolved.num_micro_batches) > 1:
        notes.append(f"each batch is computed in {parts} parts, so that it fits into memory")
    if store.info.contamination_fraction > OVERLAP_WORTH_A_WORD:
        notes.append(
            f"{store.info.contamination_fraction:.0%} of the validation text also occurs in the"
            " training text, so the validation loss is too optimistic. `descend corpus add"
            " --deduplicate near` helps"
        )
    return tuple(notes)


def _describe_speed(assembly: RunAssembly) -> str:
    """How the run computes and how fast that is; what else was timed goes to the log."""
    choice = assembly.tuning
    assert choice is not None
    name = describe_execution(choice.execution)
    others = {n: 1 / s for n, s in choice.seconds_per_token.items() if n != name}
    if others:
        logger.debug(
            "tokens/s of the other ways to compute: %s",
            ", ".join(f"{n}: {speed:,.0f}" for n, speed in others.items()),
        )
    keys = forced_keys(assembly.requested)
    suffix = f" ({', '.join(keys)} set by you)" if keys else ""
    speed = 1 / choice.seconds_per_token[name] if name in choice.seconds_per_token else None
    each = " each" if choice.execution.processes > 1 else ""
    about = "" if speed is None else f": about {speed:,.0f} tokens/s{each}"
    return f"computing in {name}{about}{suffix}"


def _large_batch_warning(assembly: RunAssembly) -> list[str]:
    """A warning where a batch holds more tokens than the whole text."""
    tokens, per_step = len(assembly.store.train), assembly.batches.tokens_per_step
    if per_step <= tokens:
        return []
    return [
        f"a batch of {per_step:,} tokens is larger than the whole training text ({tokens:,} "
        "tokens), so each step repeats it; use a smaller --batch-size"
    ]
