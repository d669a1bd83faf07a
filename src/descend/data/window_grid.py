"""How a text is cut into windows: plain arithmetic, so that reports need no numpy for it."""

from __future__ import annotations


def max_grid_offset(num_tokens: int, seq_len: int) -> int:
    """Return the largest offset of the window grid, in tokens."""
    return min(seq_len - 1, num_tokens - 1 - seq_len)


def count_sequences(num_tokens: int, seq_len: int) -> int:
    """Return the windows of `seq_len` tokens in one epoch over `num_tokens`."""
    return (num_tokens - 1 - max_grid_offset(num_tokens, seq_len)) // seq_len


def count_steps(epochs: int, sequences_per_epoch: int, batch_size: int) -> int:
    """Return the steps that finish `epochs`; the last batch may reach into the next epoch."""
    return -(-epochs * sequences_per_epoch // batch_size)
