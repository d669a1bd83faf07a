"""Text generation, token by token, for a batch of prompts, as ids or as a stream of text.

Rows of a batch stand aligned at their beginnings, so that all have the same positions and none
needs padding or a mask: the batch is read up to the end of the shortest prompt, and from there a
row whose prompt goes on takes its next token from the prompt, the others from the model (the way
of the LLaMA reference code). What a row gives is what it gives alone.

A text longer than the context slides: when the context is full, its last three quarters become
the new context and are read again into the cache, in one pass. That costs one pass for every
quarter of a context of new tokens, and the model never sees less than three quarters. Repetition
penalty and n-grams look at the same context as the model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import torch
from torch import Tensor

from descend.data.tokenizer import Tokenizer
from descend.errors import ConfigError, RunFolderError
from descend.model.kv_cache import KeyValueCache
from descend.model.sampling import (
    SamplingOptions,
    apply_logits_processors,
    greedy_tokens,
    sample_tokens,
)
from descend.model.transformer import Transformer

FinishReason = Literal["end", "length", "stop"]
"""Why a row ended: the end-of-text token, `max_new_tokens`, or what the caller watches for."""

REPLACEMENT = "\ufffd"
"""What bytes that are not (yet) a character of UTF-8 decode to."""


class GeneratedToken(msgspec.Struct, frozen=True):
    """The next token of the prompt number `row`; the row's last one says why it ended."""

    row: int
    id: int
    finish: FinishReason | None


class TextChunk(msgspec.Struct, frozen=True):
    """The next token of the prompt number `row`, and the text that became certain with it.

    `text` may be empty (half a character, or what may become a stop string), never holds half
    a character, and ends before a stop string.
    """

    row: int
    id: int
    text: str
    finish: FinishReason | None


class Completion(msgspec.Struct, frozen=True):
    """The continuation of one prompt. `token_ids` include the token that ended it."""

    text: str
    token_ids: list[int]
    finish: FinishReason


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling_options: SamplingOptions,
    *,
    max_new_tokens: int,
    end_id: int,
    stop: Callable[[int, int], bool] | None = None,
    seed: int = 0,
    context: int | None = None,
) -> Iterator[GeneratedToken]:
    """Yield the new tokens of all `prompts`, in order of row at each position.

    An empty prompt starts from `end_id`. A row ends with `end_id`, after `max_new_tokens`, or
    when `stop(row, id)`, called once for each new token but `end_id`, is true. Each row draws
    from its own random numbers, a function of `seed` and its number in the batch. `context` is
    the most tokens the model is shown (left open: max_seq_len; the positions a model was not
    trained on are best left out). `ConfigError` for values out of bounds.
    """
    window = model.shape.max_seq_len if context is None else context
    _check(model, prompts, max_new_tokens, window)
    if not prompts or max_new_tokens == 0:
        return
    batch = _start(model, prompts, seed, end_id, window)
    while batch.rows:
        if min(batch.lengths) > window:
            batch.slide()
        length = min(batch.lengths)
        logits_BV = _read(model, batch, length)
        free = [b for b, known in enumerate(batch.lengths) if known == length]
        new_tokens: list[GeneratedToken] = []
        for b, token_id in zip(
            free, _choose(logits_BV, batch, free, sampling_options), strict=True
        ):
            batch.append(b, token_id)
            row, full = batch.rows[b], batch.written[b] == max_new_tokens
            stopped = token_id != end_id and stop is not None and stop(row, token_id)
            finish: FinishReason | None = (
                "end" if token_id == end_id else "stop" if stopped else "length" if full else None
            )
            new_tokens.append(GeneratedToken(row, token_id, finish))
        finished = {new.row for new in new_tokens if new.finish}
        if finished:
            batch.keep([b for b, row in enumerate(batch.rows) if row not in finished])
        yield from new_tokens


@dataclass
class _Batch:
    """The unfinished rows. `ids_BS` (B, window + 1) on the CPU holds the context of
    each, of which `lengths` tokens are known: all of its prompt, and what was written."""

    rows: list[int]
    ids_BS: Tensor
    lengths: list[int]
    written: list[int]
    randoms: list[random.Random]
    cache: KeyValueCache

    def append(self, b: int, token: int) -> None:
        self.ids_BS.numpy()[b, self.lengths[b]] = token  # a number into a tensor takes 4 us
        self.lengths[b] += 1
        self.written[b] += 1

    def keep(self, indices: list[int]) -> None:
        self.rows = [self.rows[b] for b in indices]
        self.ids_BS = self.ids_BS[indices]
        self.lengths = [self.lengths[b] for b in indices]
        self.written = [self.written[b] for b in indices]
        self.randoms = [self.randoms[b] for b in indices]
        self.cache.select_rows(indices)

    def slide(self) -> None:
        """Continue with the last part of each row; all rows are full, since prompts fit."""
        window = self.ids_BS.shape[1] - 1
        num_context_tokens = context_after_slide(window)
        self.ids_BS[:, :num_context_tokens] = self.ids_BS[
            :, window + 1 - num_context_tokens :
        ].clone()
        self.lengths = [num_context_tokens] * len(self.rows)
        self.cache.length = 0


def context_after_slide(window: int) -> int:
    """Return how many tokens of a full context remain when it slides."""
    return max(1, window * 3 // 4)


def _start(
    model: Transformer, prompts: Sequence[Sequence[int]], seed: int, end_id: int, window: int
) -> _Batch:
    ids_BS = torch.zeros((len(prompts), window + 1), dtype=torch.long)
    lengths = []
    for b, prompt in enumerate(prompts):
        ids = list(prompt) or [end_id]
        if len(ids) > window:  # as if written here: what a slide would have left
            ids = ids[-context_after_slide(window) :]
        ids_BS[b, : len(ids)] = torch.tensor(ids)
        lengths.append(len(ids))
    weight = model.token_embedding.weight
    return _Batch(
        rows=list(range(len(prompts))),
        ids_BS=ids_BS,
        lengths=lengths,
        written=[0] * len(prompts),
        randoms=[random.Random(f"{seed} {row}") for row in range(len(prompts))],
        cache=KeyValueCache(model.shape, len(prompts), weight.device, weight.dtype),
    )


@torch.inference_mode()
def _read(model: Transformer, batch: _Batch, length: int) -> Tensor:
    """Read what the cache lacks of the first `length` tokens; logits (B, V) after the last."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        new_BT = batch.ids_BS[:, batch.cache.length : length]
        logits_B1V: Tensor = model(
            new_BT.to(batch.cache.keys_LBHSK.device), batch.cache, last_only=True
        )
        return logits_B1V[:, -1].float()
    finally:
        if was_training:
            model.train()


@torch.inference_mode()
def _choose(
    logits_BV: Tensor, batch: _Batch, free: list[int], sampling_options: SamplingOptions
) -> list[int]:
    """Choose the next token of each row in `free`; `RunFolderError` if a logit is not finite."""
    length = batch.lengths[free[0]]
    so_far_BT = batch.ids_BS[free, :length].to(logits_BV.device)
    if not torch.isfinite(logits_BV).all():  # finite weights may be too large
        raise RunFolderError(
            "the model", "weights that give logits that are not finite", "finite logits",
            "train again with a lower learning_rate, or restore the folder from a copy",
        )  # fmt: skip
    processed_BV = apply_logits_processors(logits_BV[free], so_far_BT, sampling_options)
    if sampling_options.greedy:
        return greedy_tokens(processed_BV)
    return sample_tokens(processed_BV, [batch.randoms[b].random() for b in free])


def _check(
    model: Transformer, prompts: Sequence[Sequence[int]], max_new_tokens: int, window: int
) -> None:
    shape = model.shape
    if max_new_tokens < 0:
        raise ConfigError("max_new_tokens", f"{max_new_tokens}", "at least 0", "raise it")
    if not 1 <= window <= shape.max_seq_len:
        raise ConfigError(
            "context",
            f"{window}",
            f"1 to max_seq_len {shape.max_seq_len} tokens",
            "choose another value",
        )
    for row, ids in enumerate(prompts):
        if ids and not 0 <= min(ids) <= max(ids) < shape.vocab_size:
            raise ConfigError(
                f"prompt {row}", f"token ids from {min(ids)} to {max(ids)}",
                f"ids from 0 to {shape.vocab_size - 1}",
                "encode the prompt with the tokenizer of the model",
            )  # fmt: skip


def generate_text(
    model: Transformer,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    sampling_options: SamplingOptions,
    *,
    max_new_tokens: int,
    stop_strings: Sequence[str] = (),
    seed: int = 0,
    context: int | None = None,
) -> Iterator[TextChunk]:
    """Yield the output of `generate` as text. Each row also ends before a stop string.

    The start tokens of the tokenizer, if it has any, stand before each prompt.
    """
    streams = [TextStream(tokenizer, stop_strings) for _ in prompts]
    tokens = generate(
        model,
        [[*tokenizer.start_ids, *ids] for ids in tokenizer.encode_batch(prompts)],
        sampling_options,
        max_new_tokens=max_new_tokens,
        end_id=tokenizer.eos_token_id,
        stop=lambda row, token: streams[row].push(token),
        seed=seed,
        context=context,
    )
    for token in tokens:
        text = streams[token.row].flush(last=token.finish is not None)
        yield TextChunk(token.row, token.id, text, token.finish)


def collect_completions(chunks: Iterator[TextChunk], rows: int) -> list[Completion]:
    """Join the output of `generate_text` for `rows` prompts by row."""
    texts: list[list[str]] = [[] for _ in range(rows)]
    ids: list[list[int]] = [[] for _ in range(rows)]
    finishes: list[FinishReason] = ["length"] * rows
    for chunk in chunks:
        texts[chunk.row].append(chunk.text)
        ids[chunk.row].append(chunk.id)
        finishes[chunk.row] = chunk.finish or finishes[chunk.row]
    return [Completion("".join(t), i, f) for t, i, f in zip(texts, ids, finishes, strict=True)]


class TextStream:
    """Decode the tokens of one row to text as soon as the text is certain.

    Held back: bytes at the end that may be half a character (at most three; dropped if nothing
    follows), and the beginning of what may become a stop string.
    """

    def __init__(self, tokenizer: Tokenizer, stop_strings: Sequence[str] = ()) -> None:
        if "" in stop_strings:
            raise ConfigError("stop", "an empty string", "at least one character", "remove it")
        self._tokenizer = tokenizer
        self._stops = tuple(stop_strings)
        self._tokens: list[int] = []
        """Tokens since the last that ended with a whole character."""
        self._decoded = 0
        """Characters of these that were passed on already."""
        self._text = ""
        """Decoded, not yet taken."""
        self.stopped = False

    def push(self, token: int) -> bool:
        """Add a token. Return whether the text contains a stop string."""
        if self.stopped:
            return True
        self._tokens.append(token)
        text = self._tokenizer.decode(self._tokens)
        whole = text.rstrip(REPLACEMENT)
        # A character has at most four bytes: of more undecodable ones, only the last three can
        # still become one, and the others are there to stay.
        stable_end = max(len(whole), len(text) - 3)
        self._text += text[self._decoded : stable_end]
        self._decoded = max(self._decoded, stable_end)
        if stable_end == len(text):
            self._tokens, self._decoded = [], 0
        stop_positions = [at for stop in self._stops if (at := self._text.find(stop)) >= 0]
        if stop_positions:
            self._text = self._text[: min(stop_positions)]
            self.stopped = True
        return self.stopped

    def flush(self, last: bool = False) -> str:
        """Return the text that is certain by now; with `last`, all of it."""
        num_withheld = 0 if last or self.stopped else self._begun_stop()
        text = self._text[: len(self._text) - num_withheld]
        self._text = self._text[len(text) :]
        return text

    def _begun_stop(self) -> int:
        """Count the characters at the end of the text that begin a stop string."""
        max_length = max(map(len, self._stops), default=0) - 1
        for count in range(min(max_length, len(self._text)), 0, -1):
            if any(stop.startswith(self._text[-count:]) for stop in self._stops):
                return count
        return 0
