"""What the recipe chooses where the user left a key open, by the size of the text.

The rules come from paired runs; docs/recipe.md shows the ablations they were read from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from descend.config import RunConfig
from descend.model.cost import block_matrix_parameters
from descend.model.shape import shape_from_run_config

if TYPE_CHECKING:  # explaining a page of a cause loads no numpy
    from descend.data.batches import BatchSampler

# Vocabulary by bytes of training text: a larger one shortens the text but spreads it thinner
# over the tokens. On 40 to 420 kB 512 ended 0.2 to 2.8 % lower than 1,024 or 2,048 in six epochs,
# on 690 kB and 1 MB 2,048 ended 1.4 and 0.4 % lower than 1,024 (benchmarks/results/plan/
# recipe_runs.csv, checked_runs.csv).
_VOCABULARIES = ((500_000, 512), (3_000_000, 2048), (30_000_000, 4096))
_MAX_VOCABULARY = 8192

# Sequences a step by bytes of training text: with 16 a short text makes too few steps. In six
# epochs 4 ended 3.7 and 2.2 % lower than 16 on 40 and 58 kB, 8 ended 1.7 and 1.5 % lower on 127 and
# 150 kB, and on 400 kB they ended alike (benchmarks/results/plan/batch_runs.csv).
_BATCH_SIZES = ((80_000, 4), (300_000, 8))

# Epochs: up to six with BPE-dropout, for two million tokens in all: about three minutes on two
# cores. Six ended 0.7 to 5 % lower than three on texts of 40 kB to 1.1 MB
# (benchmarks/results/recipe/whole_tokens.csv).
_MAX_EPOCHS, _TARGET_TOKENS = 6, 2_000_000

# Without BPE-dropout more than three epochs ended higher on 40, 135 and 400 kB of prose
# (benchmarks/results/improve/epochs.jsonl), and on 15 kB alike.
_MAX_EPOCHS_OF_WHOLE_TOKENS, _MIN_TOKENS_WITH_MORE_EPOCHS = 3, 250_000

# Of a very short text, where an epoch is less than a step, eight epochs ended as low as three or up
# to 4 % lower (benchmarks/results/recipe/small_text_epochs.jsonl).
_MAX_EPOCHS_OF_FEW_TOKENS, _TARGET_FEW_TOKENS = 8, 10_000

# Tokens hidden from the model: none while repeats teach something new, then more with each pass.
_EPOCHS_WITHOUT_TOKEN_DROPOUT = 3
_TOKEN_DROPOUT_PER_EPOCH = 0.05
_MAX_TOKEN_DROPOUT = 0.2

# Merges of the tokenizer undone in the training text, fewer with the learning rate
# (`loop.MIN_DROPOUT_RATE`): times the epochs after the first, times the fourth root of the
# parameters of the blocks for each token of text. That is the root of what is memorized by the
# scaling law (`planner.scaling_law`). Of 0.1 to 0.4, what it gives or the nearest to it ended
# lowest in seven of eight comparisons (benchmarks/results/plan/recipe_runs.csv).
_EPOCHS_WITHOUT_BPE_DROPOUT = 2
_BPE_DROPOUT_PER_REPEATED_EPOCH = 0.035
_MAX_BPE_DROPOUT = 0.4

# A text too short for it is no text to train on, but a mistake.
_MIN_CONTEXT = 8

WARMUP_FRACTION = 0.05


def choose_vocabulary(config: RunConfig, train_bytes: int) -> int:
    """Return `vocab_size`, or one that fits `train_bytes` of text."""
    if config.vocab_size is not None:
        return config.vocab_size
    for limit, size in _VOCABULARIES:
        if train_bytes < limit:
            return size
    return _MAX_VOCABULARY


def shorten_context_for(config: RunConfig, train_tokens: int) -> RunConfig:
    """Return `config`; where its `seq_len` was not requested and is longer than `train_tokens` of
    text, with the longest power of two that goes twice into them, if that makes a context."""
    if "seq_len" in config.model_fields_set or train_tokens > config.seq_len:
        return config
    max_context = 1 << max(1, (train_tokens - 1) // 2).bit_length() - 1
    long_enough = max_context >= _MIN_CONTEXT
    return config.model_copy(update={"seq_len": max_context}) if long_enough else config


def choose_batch_size(config: RunConfig, train_bytes: int) -> RunConfig:
    """Return `config`; where its `batch_size` was not requested, with one that makes enough steps
    of `train_bytes` of text. Rows that are divided are left as they are."""
    is_divided = max(config.num_processes or 1, config.gradient_accumulation_steps or 1) > 1
    if "batch_size" in config.model_fields_set or is_divided:
        return config
    size = next((size for limit, size in _BATCH_SIZES if train_bytes < limit), config.batch_size)
    return config.model_copy(update={"batch_size": size})


def choose_epochs(config: RunConfig, train_tokens: int) -> int:
    """Return `epoch`, or as many passes as pay for `train_tokens` of text."""
    if config.epoch is not None:
        return config.epoch
    few = min(_MAX_EPOCHS_OF_FEW_TOKENS, round(_TARGET_FEW_TOKENS / max(train_tokens, 1)))
    max_epochs = _max_useful_epochs(config, train_tokens)
    return max(1, few, min(max_epochs, round(_TARGET_TOKENS / max(train_tokens, 1))))


def _max_useful_epochs(config: RunConfig, train_tokens: int) -> int:
    """Return epochs from which the default network would only overfit."""
    has_dropout = config.tokenizer == "bpe" and config.bpe_dropout != 0.0
    if has_dropout or train_tokens >= _MIN_TOKENS_WITH_MORE_EPOCHS:
        return _MAX_EPOCHS
    return _MAX_EPOCHS_OF_WHOLE_TOKENS


def choose_token_dropout(config: RunConfig, epochs: int, train_tokens: float) -> float:
    """Return `token_dropout`, or a rate that rises with the repetitions of the text.

    None beside BPE-dropout: with both, six epochs of tiny Shakespeare ended 0.6 % higher than with
    BPE-dropout alone (docs/recipe.md).
    """
    if config.token_dropout is not None:
        return config.token_dropout
    if choose_bpe_dropout(config, epochs, train_tokens):
        return 0.0
    beyond = max(0, epochs - _EPOCHS_WITHOUT_TOKEN_DROPOUT)
    return min(_MAX_TOKEN_DROPOUT, round(_TOKEN_DROPOUT_PER_EPOCH * beyond, 2))


def choose_bpe_dropout(config: RunConfig, epochs: int, train_tokens: float) -> float:
    """Return `bpe_dropout`, or more of it the more often the network reads `train_tokens` of text,
    and the larger it is for them."""
    if config.bpe_dropout is not None:
        return config.bpe_dropout
    if config.tokenizer != "bpe" or epochs <= _EPOCHS_WITHOUT_BPE_DROPOUT:
        return 0.0
    shape = shape_from_run_config(config, config.vocab_size or 1)
    parameters_per_token = shape.num_layers * block_matrix_parameters(shape) / max(train_tokens, 1)
    rate = (
        _BPE_DROPOUT_PER_REPEATED_EPOCH * (epochs - 1) * math.sqrt(math.sqrt(parameters_per_token))
    )
    return min(_MAX_BPE_DROPOUT, round(rate, 2))


def choose_dropouts(config: RunConfig, epochs: int, train_tokens: float) -> dict[str, float]:
    """Return both dropouts against repetition, by key, for `epochs` over `train_tokens` of text."""
    return {
        "token_dropout": choose_token_dropout(config, epochs, train_tokens),
        "bpe_dropout": choose_bpe_dropout(config, epochs, train_tokens),
    }


def choose_warmup(config: RunConfig, total_steps: int) -> int:
    """Return `warmup_steps`, or a twentieth of the run."""
    if config.warmup_steps is not None:
        return config.warmup_steps
    return round(WARMUP_FRACTION * total_steps)


def count_total_steps(resolved: RunConfig, batches: BatchSampler) -> int:
    """Return updates of a whole run; `resolved` has no open key."""
    assert resolved.epoch is not None
    return resolved.max_steps or batches.steps(resolved.epoch)


def automatic_values(config: RunConfig, values: dict[str, Any]) -> dict[str, Any]:
    """Return those of `values` whose key the user left open, to be said aloud."""
    return {key: value for key, value in values.items() if getattr(config, key) is None}
