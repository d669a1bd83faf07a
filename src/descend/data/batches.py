"""Which tokens make up step n: a pure function of seed and n.

Never of how many processes or micro-batches share the work, and never of what came before.
Exact resume, paired experiments and several machines all rest on that one rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from descend.data.bpe_dropout import BpeDropout, undo_merges
from descend.data.splitmix import mix_bits
from descend.data.window_grid import count_sequences, count_steps, max_grid_offset
from descend.errors import CorpusError

_ROUNDS = 6
MIN_USEFUL_SEQ_LEN = 8
"""A first guess. A text that holds no two windows of so many tokens is too short to train on."""


@dataclass(frozen=True)
class BatchSampler:
    """Addresses the training tokens by global sequence number.

    Sequence g belongs to pass `g // sequences_per_epoch` over the text. Each pass cuts the
    text into windows of `seq_len` tokens on a grid shifted at random, and visits them in a
    random order; both depend on the seed and the number of the pass alone.

    With `bpe_dropout` some tokens of a window are replaced by those they were merged from. It then
    covers less text, and what it loses at its end differs from pass to pass.
    """

    tokens: NDArray[np.unsignedinteger]
    seq_len: int
    batch_size: int
    seed: int
    bpe_dropout: BpeDropout | None = None

    def __post_init__(self) -> None:
        if len(self.tokens) < self.seq_len + 1:
            raise CorpusError(
                "corpus_dir", f"{len(self.tokens)} tokens of training text",
                f"at least one sequence of seq_len {self.seq_len} and the token after it",
                self._how_to_fit(),
            )  # fmt: skip

    def _how_to_fit(self) -> str:
        """Return the fix for a text shorter than a window: a shorter window only if that helps."""
        shorter = (len(self.tokens) - 1) // 2
        add = "add text, at least a few pages"
        return (
            add if shorter < MIN_USEFUL_SEQ_LEN else f"{add}, or set seq_len to {shorter} or less"
        )

    @property
    def max_grid_offset(self) -> int:
        """Largest offset of the window grid, in tokens."""
        return max_grid_offset(len(self.tokens), self.seq_len)

    @property
    def sequences_per_epoch(self) -> int:
        """Windows in one pass over the text, the same for every shift of the grid."""
        return count_sequences(len(self.tokens), self.seq_len)

    @property
    def tokens_per_step(self) -> int:
        """Tokens predicted in one step."""
        return self.batch_size * self.seq_len

    def steps(self, epochs: int) -> int:
        """Return steps that finish `epochs` passes; the last batch may reach into the next pass."""
        return count_steps(epochs, self.sequences_per_epoch, self.batch_size)

    def epoch_at_step(self, step: int) -> int:
        """Return the pass, from 1, that step `step` (from 0) counts for: it ends at
        `steps(pass)`."""
        return step * self.batch_size // self.sequences_per_epoch + 1

    def completed_epochs(self, steps: int) -> int:
        """Return the epochs that are complete after `steps` steps."""
        return steps * self.batch_size // self.sequences_per_epoch

    def epochs_at_step(self, steps: int) -> float:
        """Return how often `steps` steps read the text; the last pass may be a part of one."""
        return steps * self.batch_size / self.sequences_per_epoch

    def batch(self, step: int, dropout_scale: float = 1.0) -> NDArray[np.int64]:
        """Return token ids of step `step`, (B, T + 1): inputs are [:, :-1], targets [:, 1:].

        Merges are undone with `dropout_scale` times the probability of `bpe_dropout`.
        """
        first = step * self.batch_size
        return self.sequences(np.arange(first, first + self.batch_size), dropout_scale)

    def sequences(
        self, numbers: NDArray[np.int64], dropout_scale: float = 1.0
    ) -> NDArray[np.int64]:
        """Return token ids of the sequences with these global numbers, (len(numbers), T + 1)."""
        epochs, indices = np.divmod(numbers, self.sequences_per_epoch)
        starts = np.empty(len(numbers), dtype=np.int64)
        for number in np.unique(epochs):
            here = epochs == number
            windows = permute_indices(
                indices[here], self.sequences_per_epoch, self.seed, int(number)
            )
            starts[here] = self.grid_offset(int(number)) + windows * self.seq_len
        span = np.arange(self.seq_len + 1)
        read: NDArray[np.int64] = self.tokens[starts[:, None] + span].astype(np.int64)
        if self.bpe_dropout is None or dropout_scale == 0:
            return read
        row_hashes = _mix(numbers.astype(np.uint64), _key(self.seed, 0, 98))
        hashes = _mix(row_hashes[:, None], span.astype(np.uint64))
        return undo_merges(read, hashes, self.bpe_dropout.scale(dropout_scale))

    def grid_offset(self, number: int) -> int:
        """Offset of the window grid in pass `number`, in tokens."""
        return int(_mix(np.array(number, np.uint64), _key(self.seed, number, 99))) % (
            self.max_grid_offset + 1
        )


def permute_indices(
    indices: NDArray[np.int64], size: int, seed: int, salt: int
) -> NDArray[np.int64]:
    """Return where a keyed random permutation of 0..size-1 sends `places`.

    A Feistel network over the next power of four, walked until the result is in range
    (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"): any
    position can be computed without holding the permutation, so a corpus of any size is shuffled in
    no memory.
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    keys = [_key(seed, salt, r) for r in range(_ROUNDS)]

    def scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> shift, values & mask
        for key in keys:
            left, right = right, left ^ (_mix(right, key) & mask)
        return (left << shift) | right

    result = scramble(indices.astype(np.uint64))
    while (outside := result >= np.uint64(size)).any():
        result[outside] = scramble(result[outside])
    return result.astype(np.int64)


def _key(seed: int, salt: int, number: int) -> np.uint64:
    return np.uint64(np.random.SeedSequence([seed, salt, number]).generate_state(1, np.uint64)[0])


def _mix(values: NDArray[np.uint64], key: np.uint64 | NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter `values`, in another way for each `key`."""
    with np.errstate(over="ignore"):
        return mix_bits(np.asarray(values + key))
