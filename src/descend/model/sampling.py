"""Sampling of the next token from logits: filters, and the draw.

The functions take and give logits (B, V) and mean what the logits processors of `transformers`
mean, in the same order: repetition penalty and repeated n-grams on every text; temperature,
top_k, top_p and min_p where a token is drawn. B texts, T tokens so far, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import torch
from torch import Tensor

from descend.config_errors import closest_match
from descend.errors import ConfigError


class SamplingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of sampling; `ConfigError` names a key that is out of bounds."""

    temperature: float = 0.9
    """Logits are divided by it: below 1 likelier tokens gain, above 1 they lose."""
    top_k: int = 40
    """Only the k likeliest tokens stay; 0 keeps all (Fan et al. 2018)."""
    top_p: float = 0.92
    """Only the likeliest tokens that together reach this probability stay; 1 keeps all
    (Holtzman et al. 2020)."""
    min_p: float = 0.0
    """Only tokens at least this probable, as a fraction of the likeliest one's probability, stay;
    0 keeps all (Nguyen et al. 2024)."""
    repetition_penalty: float = 1.3
    """Tokens of the text so far have positive logits divided and negative ones multiplied by
    it; 1 leaves them (Keskar et al. 2019)."""
    no_repeat_ngram_size: int = 3
    """No sequence of so many tokens comes twice; 0 allows all (Paulus et al. 2018)."""
    greedy: bool = False
    """Always the likeliest token: temperature, top_k, top_p, min_p and seed play no part."""

    def __post_init__(self) -> None:
        _number("temperature", self.temperature, 0.001, 100.0, hint="or set greedy")
        _whole("top_k", self.top_k)
        _number("top_p", self.top_p, 1e-6, 1.0, hint="1 keeps all tokens")
        _number("min_p", self.min_p, 0.0, 1.0, hint="0 keeps all tokens")
        _number("repetition_penalty", self.repetition_penalty, 0.01, 100.0, hint="1 is no penalty")
        _whole("no_repeat_ngram_size", self.no_repeat_ngram_size)
        if not isinstance(self.greedy, bool):
            raise ConfigError("greedy", repr(self.greedy), "true or false", "set it to one of them")


def make_sampling_options(values: Mapping[str, Any]) -> SamplingOptions:
    """Return checked options; `ConfigError` names an unknown key or a value out of bounds."""
    known = list(SamplingOptions.__struct_fields__)
    for key in values:
        if key not in known:
            guess = closest_match(key, known)
            raise ConfigError(
                key, "an unknown key", "one of " + ", ".join(known),
                f"did you mean {guess}" if guess else "remove it",
            )  # fmt: skip
    return SamplingOptions(**values)


def _number(key: str, value: object, low: float, high: float, hint: str) -> None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (usable and low <= float(value) <= high):  # type: ignore[arg-type]
        raise ConfigError(
            key, repr(value), f"a number from {low:g} to {high:g}", f"choose another value ({hint})"
        )


def _whole(key: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(
            key, repr(value), "a whole number from 0", "choose another value (0 turns it off)"
        )


def apply_logits_processors(
    logits_BV: Tensor, so_far_BT: Tensor, sampling_options: SamplingOptions
) -> Tensor:
    """Apply all filters to logits (B, V). Excluded tokens get -inf."""
    logits_BV = penalize_repetition(logits_BV, so_far_BT, sampling_options.repetition_penalty)
    logits_BV = ban_repeated_ngrams(logits_BV, so_far_BT, sampling_options.no_repeat_ngram_size)
    if sampling_options.greedy:
        return logits_BV
    logits_BV = logits_BV / sampling_options.temperature
    logits_BV = filter_top_k(logits_BV, sampling_options.top_k)
    logits_BV = filter_top_p(logits_BV, sampling_options.top_p)
    return filter_min_p(logits_BV, sampling_options.min_p)


def penalize_repetition(logits_BV: Tensor, so_far_BT: Tensor, penalty: float) -> Tensor:
    """Divide positive logits of the tokens in `so_far_BT` by `penalty`, multiply negative ones."""
    if penalty == 1.0:
        return logits_BV
    penalized_BT = logits_BV.gather(1, so_far_BT)
    penalized_BT = torch.where(penalized_BT < 0, penalized_BT * penalty, penalized_BT / penalty)
    return logits_BV.scatter(1, so_far_BT, penalized_BT)


def ban_repeated_ngrams(logits_BV: Tensor, so_far_BT: Tensor, size: int) -> Tensor:
    """Set -inf for each token that would end a sequence of `size` tokens already in `so_far_BT`.

    Where nothing would be left (a tiny vocabulary), the row stays as it was: `transformers`
    would have no token to choose there.
    """
    if size == 0 or so_far_BT.shape[1] < size:
        return logits_BV
    ngrams_BWN = so_far_BT.unfold(1, size, 1)  # W windows of N = size tokens
    newest_B1N = so_far_BT[:, None, so_far_BT.shape[1] - (size - 1) :]
    begun_BW = (ngrams_BWN[:, :, :-1] == newest_B1N).all(-1)
    hits_BV = torch.zeros_like(logits_BV).scatter_add_(
        1, ngrams_BWN[:, :, -1], begun_BW.to(logits_BV.dtype)
    )
    forbidden_BV = logits_BV.masked_fill(hits_BV > 0, -torch.inf)
    has_allowed_B1 = (forbidden_BV > -torch.inf).any(-1, keepdim=True)
    return torch.where(has_allowed_B1, forbidden_BV, logits_BV)


def filter_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Set -inf below the k-th highest logit. Ties with it stay."""
    if k == 0 or k >= logits_BV.shape[1]:
        return logits_BV
    kth_B1 = logits_BV.topk(k).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < kth_B1, -torch.inf)


def filter_top_p(logits_BV: Tensor, p: float) -> Tensor:
    """Set -inf outside the smallest set of likeliest tokens whose probabilities reach `p`."""
    if p >= 1.0:
        return logits_BV
    ascending_BV, order_BV = logits_BV.sort()
    unlikely_BV = ascending_BV.softmax(-1).cumsum(-1) <= 1 - p
    unlikely_BV[:, -1] = False  # the likeliest always stays
    return logits_BV.masked_fill(unlikely_BV.scatter(1, order_BV, unlikely_BV), -torch.inf)


def filter_min_p(logits_BV: Tensor, fraction: float) -> Tensor:
    """Set -inf for tokens less probable than `share` times the likeliest one."""
    if fraction == 0.0:
        return logits_BV
    probs_BV = logits_BV.softmax(-1)
    unlikely_BV = probs_BV < fraction * probs_BV.amax(-1, keepdim=True)
    return logits_BV.masked_fill(unlikely_BV, -torch.inf)


def sample_tokens(logits_BV: Tensor, uniform_B: list[float]) -> list[int]:
    """Sample a token id a row: where the row's number in [0, 1) falls on its summed probabilities.

    Numbers given from outside make a row's draw independent of the other rows and of the device.
    Never a token of logit -inf.
    """
    # In double precision on the CPU: sums there never fall, so that an interval of probability 0
    # stays empty, and MPS has no doubles.
    summed_BV = logits_BV.float().softmax(-1).cpu().double().cumsum(-1)
    total_B1 = summed_BV[:, -1:]
    target_B1 = torch.tensor(uniform_B, dtype=torch.float64)[:, None] * total_B1
    below_B1 = torch.nextafter(total_B1, torch.full_like(total_B1, -math.inf))
    token_ids_B1 = torch.searchsorted(summed_BV, torch.minimum(target_B1, below_B1), right=True)
    return [int(i) for i in token_ids_B1[:, 0].tolist()]


def greedy_tokens(logits_BV: Tensor) -> list[int]:
    """Return the token id of the highest logit of each row, the lowest id among equals."""
    return [int(i) for i in logits_BV.argmax(-1).tolist()]
