"""Continuous batching: texts join and leave the batch between two tokens.

Each text gets what it would get alone from `generation.generate`: the same context, the same
sliding when that is full, and random numbers of its own. Prompts of equal length are read
together; from then on all texts take part in one forward pass a token (Yu et al. 2022, Orca).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor

from descend.model.generation import FinishReason, context_after_slide
from descend.model.kv_cache import KeyValueCache
from descend.model.ragged_cache import RaggedKeyValueCache
from descend.model.sampling import (
    SamplingOptions,
    apply_logits_processors,
    greedy_tokens,
    sample_tokens,
)
from descend.model.transformer import Transformer

MAX_PREFILL_TOKENS = 8192
"""Tokens of prompts that are read in one pass: it holds up the texts under way."""


class DecodeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A text to continue."""

    prompt_ids: Sequence[int]
    sampling_options: SamplingOptions
    max_new_tokens: int
    seed: str
    """Of its random numbers."""
    num_logprobs: int | None = None
    """Likeliest tokens whose log probabilities are given with each token; None: none at all."""


class DecodedToken(msgspec.Struct, frozen=True):
    """The next token of the text `key`; its last one says why the text ended.

    Log probabilities are those of the model, before temperature and filters, in nats.
    """

    key: Hashable
    id: int
    finish: FinishReason | None
    logprob: float | None
    top_logprobs: tuple[tuple[int, float], ...]


@dataclass
class _Row:
    """A text under way; `context_ids` are the tokens that the model is shown."""

    key: Hashable
    request: DecodeRequest
    context_ids: list[int]
    random: random.Random
    written: int = field(default=0)


class BatchDecoder:
    """Continues up to `max_rows` texts at once; further ones wait in order.

    `context` is the most tokens that the model is shown. The weights must not change.
    """

    def __init__(self, model: Transformer, end_id: int, context: int, max_rows: int) -> None:
        self._model, self._end_id, self._context = model.eval(), end_id, context
        self._max_rows = max_rows
        weight = model.token_embedding.weight
        self._cache = RaggedKeyValueCache(model.shape, context, weight.device, weight.dtype)
        self._rows: list[_Row] = []
        """In the order of the rows of the cache."""
        self._waiting: dict[Hashable, _Row] = {}

    @property
    def num_texts(self) -> int:
        """Texts under way or waiting."""
        return len(self._rows) + len(self._waiting)

    def add(self, key: Hashable, request: DecodeRequest) -> None:
        """Queue a text. `key` must be new among those that have not ended."""
        ids = list(request.prompt_ids) or [self._end_id]
        if len(ids) > self._context:
            ids = ids[-context_after_slide(self._context) :]
        self._waiting[key] = _Row(key, request, ids, random.Random(request.seed))

    @torch.inference_mode()
    def remove(self, key: Hashable) -> None:
        """Forget a text, which may have ended already."""
        if self._waiting.pop(key, None) is not None:
            return
        for index, row in enumerate(self._rows):
            if row.key == key:
                self._cache.remove_row(index)
                self._rows[index] = self._rows[-1]
                self._rows.pop()
                return

    def clear(self) -> None:
        """Forget all texts."""
        for key in [*self._waiting, *(row.key for row in self._rows)]:
            self.remove(key)

    @torch.inference_mode()
    def step(self) -> list[DecodedToken]:
        """Return the next token of each text under way, and the first of those that join."""
        tokens: list[DecodedToken] = []
        is_full = [len(row.context_ids) > self._context for row in self._rows]
        if any(is_full):
            self._slide([i for i, full in enumerate(is_full) if full], tokens)
        elif self._rows:
            last_B1 = torch.tensor([[row.context_ids[-1]] for row in self._rows])
            logits_B1V = self._model(last_B1.to(self._cache.keys_LBHSK.device), self._cache)
            tokens += self._choose(self._rows, logits_B1V[:, -1].float())
        self._admit(tokens)
        for token in tokens:
            if token.finish:
                self.remove(token.key)
        return tokens

    def _slide(self, indices: list[int], tokens: list[DecodedToken]) -> None:
        """Read the last part of the full contexts again. The other texts wait for a step."""
        for group in self._equal_lengths(indices, context_after_slide(self._context)):
            rows = [self._rows[i] for i in group]
            for row in rows:
                row.context_ids = row.context_ids[-context_after_slide(self._context) :]
            cache, logits_BV = self._read(rows)
            for b, index in enumerate(group):
                self._cache.replace_row(index, cache, b)
            tokens += self._choose(rows, logits_BV)

    @staticmethod
    def _equal_lengths(indices: list[int], length: int) -> list[list[int]]:
        size = max(1, MAX_PREFILL_TOKENS // length)
        return [indices[i : i + size] for i in range(0, len(indices), size)]

    def _admit(self, tokens: list[DecodedToken]) -> None:
        """Read the prompts that there is room for."""
        room = self._max_rows - len(self._rows)
        joining = [self._waiting.pop(key) for key in list(self._waiting)[:room]]
        by_length: dict[int, list[_Row]] = defaultdict(list)
        for row in joining:
            by_length[len(row.context_ids)].append(row)
        for length, rows in by_length.items():
            for group in self._equal_lengths(list(range(len(rows))), length):
                members = [rows[i] for i in group]
                cache, logits_BV = self._read(members)
                for b, row in enumerate(members):
                    self._cache.add_row(cache, b)
                    self._rows.append(row)
                tokens += self._choose(members, logits_BV)

    def _read(self, rows: list[_Row]) -> tuple[KeyValueCache, Tensor]:
        """Read contexts of equal length; logits (B, V) after the last token."""
        ragged = self._cache
        device, dtype = ragged.keys_LBHSK.device, ragged.keys_LBHSK.dtype
        cache = KeyValueCache(self._model.shape, len(rows), device, dtype)
        cache.joined, cache.rotation = ragged.joined, ragged.rotation
        ids_BT = torch.tensor([row.context_ids for row in rows], device=device)
        logits_B1V = self._model(ids_BT, cache, last_only=True)
        ragged.rotation = cache.rotation
        return cache, logits_B1V[:, -1].float()

    def _choose(self, rows: list[_Row], logits_BV: Tensor) -> list[DecodedToken]:
        """Choose and append the next token of each row."""
        groups: dict[tuple[SamplingOptions, int], list[int]] = defaultdict(list)
        for b, row in enumerate(rows):
            options = row.request.sampling_options
            looks_back = options.repetition_penalty != 1 or options.no_repeat_ngram_size
            groups[options, b if looks_back else -1].append(b)
        chosen = [0] * len(rows)
        for (options, alone), group in groups.items():
            so_far = [rows[b].context_ids if alone >= 0 else [] for b in group]
            so_far_BT = torch.tensor(so_far, dtype=torch.long, device=logits_BV.device)
            processed_BV = apply_logits_processors(logits_BV[group], so_far_BT, options)
            ids = (
                greedy_tokens(processed_BV)
                if options.greedy
                else sample_tokens(processed_BV, [rows[b].random.random() for b in group])
            )
            for b, token_id in zip(group, ids, strict=True):
                chosen[b] = token_id
        return [
            self._append(row, token_id, logits_BV[b])
            for b, (row, token_id) in enumerate(zip(rows, chosen, strict=True))
        ]

    def _append(self, row: _Row, token_id: int, logits_V: Tensor) -> DecodedToken:
        row.context_ids.append(token_id)
        row.written += 1
        finish: FinishReason | None = None
        if token_id == self._end_id:
            finish = "end"
        elif row.written == row.request.max_new_tokens:
            finish = "length"
        if row.request.num_logprobs is None:
            return DecodedToken(row.key, token_id, finish, None, ())
        logprobs_V = logits_V.log_softmax(-1)
        top = logprobs_V.topk(min(row.request.num_logprobs, len(logprobs_V)))
        pairs = tuple(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        return DecodedToken(row.key, token_id, finish, float(logprobs_V[token_id]), pairs)
