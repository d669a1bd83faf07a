"""What the name of a number in a log stands for: loss, split, step, epoch, rate, gradient norm.

A name is the words before a number (`validation loss at iteration`), or a column's or key's name
(`train/CrossEntropyLoss`). The last word decides what the number is, the words before it which
split. The vocabulary is from what nanoGPT, llm.c, litgpt, torchtune, torchtitan, OLMo, Composer,
Megatron-LM, DeepSpeed, fairseq, ESPnet, OpenNMT-py, flair, Keras, fastai, Lightning, the Hugging
Face Trainer, TRL and mlx-lm print.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from descend.loss_logs.languages import translate_words

Role = Literal["loss", "perplexity", "split", "step", "epoch", "rate", "gradient_norm", "accuracy",
               "reward", "policy_kl", "timesteps", "margin"]  # fmt: skip
Split = Literal["train", "validation"]

TRAIN = frozenset({"train", "training", "trn", "tr", "trl", "trainloss", "trainer"})
VALIDATION = frozenset(
    {"val", "valid", "validation", "validate", "validating", "eval", "evaluation", "evaluate",
     "evaluating", "test", "testing", "dev", "heldout", "tel", "valloss", "evalloss", "validloss",
     "testloss"}
)  # fmt: skip
LOSSES = frozenset(
    {"loss", "losses", "cost", "nll", "ce", "xent", "xentropy", "crossentropy", "lossf", "trl",
     "tel", "trainloss", "valloss", "evalloss", "validloss", "testloss", "logloss", "mlogloss"}
)  # fmt: skip
NO_LOSS = frozenset(
    {"scale", "scaler", "time", "weight", "weights", "coef", "coefficient", "best", "lowest", "min",
     "max", "std", "minimum", "maximum", "previous", "prev", "delta", "diff", "ratio", "gap",
     "limit", "target", "patience", "improved", "accuracy", "acc", "rate", "tokens", "count"}
)  # fmt: skip
"""Words that make another number of a loss: its scale, its best value so far."""
PARTS = frozenset(
    {"aux", "auxiliary", "balance", "balancing", "router", "z", "kl", "ctc", "att", "policy",
     "value", "entropy", "mse", "reg", "regularization", "commitment", "vq", "adv", "gan", "disc",
     "gen", "mtp", "moe", "l1", "l2", "critic", "actor", "vf", "pg", "trans",
     "interctc", "distill", "vae"}
)  # fmt: skip
"""Words of a loss that is one term among several, never the whole."""
HEADS = frozenset({"cls", "bbox", "rpn", "box", "obj", "mask", "giou", "dfl", "seg"})
"""Words of the loss of one head of a detector, which stands beside the whole."""
SMOOTHED = frozenset({"epoch", "smooth", "smoothed", "ema", "running", "interval", "window"})
STEPS: dict[str, int] = {
    "step": 0, "steps": 0, "update": 1, "updates": 1, "upd": 1, "up": 1,
    "iteration": 2, "iterations": 2, "iter": 2, "iters": 2, "it": 2, "itr": 2,
    "batch": 3, "batches": 3, "minibatch": 3,
}  # fmt: skip
"""Counters of steps, with their rank where a line has several: the first counts optimizer steps."""
BESIDE_STEPS = frozenset(
    {"global", "num", "n", "train", "trainer", "training", "idx", "index", "id", "current", "cur",
     "opt", "optimizer", "optim", "no", "nb", "i"}
) | VALIDATION  # fmt: skip
"""Words that a counter's own name may hold besides: `trainer/global_step`, `batch_idx`."""
NO_COUNTER = frozenset(
    {"per", "total", "max", "warmup", "every", "of", "number", "skipped", "nan", "elapsed",
     "remaining", "accumulation", "consumed", "save", "saving", "time", "seconds", "ms", "from",
     "decay", "patience", "size", "sec", "s"}
)  # fmt: skip
"""Words before a counter that make a setting or a speed of it."""
TRAILING = frozenset(
    {"value", "now", "is", "was", "mean", "avg", "average", "total", "of", "the", "curr", "current"}
)
ACCURACIES = frozenset({"acc", "accuracy"})
QUOTAS = ACCURACIES | frozenset(
    {"correct", "right", "wrong", "precision", "recall", "f1", "em", "hits", "match", "top1",
     "top5", "wer", "cer", "error", "errors", "score"}
)  # fmt: skip
"""Words for a part of some whole: behind its number the counts may stand, as `(9830/10000)`."""
REWARDS = frozenset({"rew", "reward", "rewards", "return", "returns"})
NO_REWARD = frozenset(
    {"std", "var", "variance", "min", "max", "best", "highest", "chosen", "rejected", "margin",
     "margins", "accuracy", "accuracies", "threshold", "target", "scale", "weight", "loss", "model"}
)  # fmt: skip
"""Words that make another number of a reward than its mean."""
_REWARD_GROUPS = frozenset({"rollout", "charts", "train", "time"})
BITS = "bits"
"""The name of a loss in bits."""
_BITS = frozenset({"bpc", "bpb", "bpw", "bpt", "bpd"})
_BITS_OF = frozenset({"byte", "bytes", "char", "chars", "character", "characters", "word", "token"})
_PERPLEXITY = frozenset({"ppl", "perplexity", "perplextity", "pplx"})
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name stands for. `rank`: among several of one role the lowest is the likeliest."""

    role: Role
    split: Split | None = None
    rank: int = 0
    name: str = ""
    """Without the split, so that the two sides of one loss have one name."""


def split_identifier(word: str) -> list[str]:
    """Return the words of an identifier in lower case: `train/CrossEntropyLoss` has four."""
    return [part.lower() for part in _CAMEL.split(word) if part]


def split_of(words: list[str]) -> Split | None:
    """Return the split that `words` name, the last one if both."""
    for word in reversed(words):
        if word in VALIDATION:
            return "validation"
        if word in TRAIN:
            return "train"
    return None


def column_meaning(name: str) -> Meaning | None:
    """Return what a column's or key's name stands for; None if it is of no interest.

    Weights & Biases writes `name of the run - train/loss`: the part after the run's name counts.
    """
    own_name = name.rsplit(" - ", 1)[-1]
    meaning = meaning_of(tuple(own_name.split()[-5:]))
    return meaning or meaning_of(tuple(translate_words(own_name).split()[-5:]))


@lru_cache(maxsize=20_000)
def meaning_of(words: tuple[str, ...]) -> Meaning | None:
    """Return what a number after `words` is; None if it is of no interest."""
    parts = [split_identifier(word) for word in words]
    while parts and (not parts[-1] or (len(parts) > 1 and set(parts[-1]) <= TRAILING)):
        parts.pop()
    if not parts:
        return None
    last, every = parts[-1], [word for part in parts for word in part]
    for find in (_perplexity, _loss, _bits, _split, _step, _epoch, _rate, _norm, _accuracy,
                 _reward):  # fmt: skip
        meaning = find(last, every)
        if meaning is not None:
            return meaning
    return None


def _perplexity(last: list[str], every: list[str]) -> Meaning | None:
    # `perplexity (train)`: the split stands behind.
    named = last if not set(last) <= (TRAIN | VALIDATION) else every
    if not _PERPLEXITY & set(named) or NO_LOSS & set(named) or {"best", "lowest"} & set(every):
        return None
    return Meaning("perplexity", split_of(every), 0, "perplexity")


def _loss(last: list[str], every: list[str]) -> Meaning | None:
    own = set(last)
    if not _names_loss(last):
        # `loss train: 3.2` and `loss val: 3.3`: the split stands behind.
        if not own <= (TRAIN | VALIDATION) or not _names_loss(every):
            return None
        own = set(every)
    if own & NO_LOSS or {"best", "lowest", "scale", "weight"} & set(every):
        return None
    words = set(every) - TRAIN - VALIDATION
    rank = 0 if "loss" in every or "losses" in every or LOSSES & {"trl", "tel"} & own else 2
    if words & SMOOTHED:
        rank = 3
    others = words - LOSSES - SMOOTHED - {"cross", "lm", "total", "step", "global", "avg", "mean"}
    if "cross" in words:
        others -= {"entropy"}
    if others & PARTS:
        rank = 6
    elif others and rank < 4 and words & {"masked", "teacher", "student"}:
        rank = 4
    elif rank == 0 and others & HEADS:
        rank = 1
    name = "_".join(w for w in last if w not in TRAIN and w not in VALIDATION) or "loss"
    return Meaning("loss", split_of(every), rank, name)


def _bits(last: list[str], every: list[str]) -> Meaning | None:
    """Return a loss in bits for a character, a byte or a word."""
    named = _BITS & set(last) or ("bits" in every[-4:] and _BITS_OF & set(every[-4:]))
    if not named or NO_LOSS & set(every):
        return None
    return Meaning("loss", split_of(every), 4, BITS)


def _names_loss(words: list[str]) -> bool:
    return bool(LOSSES & set(words)) or ("cross" in words and "entropy" in words)


def _split(last: list[str], every: list[str]) -> Meaning | None:
    if len(every) == 1 and (last[0] in VALIDATION or last[0] in TRAIN):
        return Meaning("split", split_of(last), 1, "loss")
    return None


def _step(last: list[str], every: list[str]) -> Meaning | None:
    counters = [word for word in last if word in STEPS]
    if every == ["s"]:
        return Meaning("step", None, 0, "s")
    if not counters and every[-2:] in (["batch", "idx"], ["n", "iter"]):
        counters = ["batch"]
    if not counters or any(w not in STEPS and w not in BESIDE_STEPS for w in last):
        return None
    if NO_COUNTER & set(every) or ("num" in every and not {"updates", "update"} & set(every)
                                   and "steps" not in last):  # fmt: skip
        return None
    rank = 0 if "num" in last else min(STEPS[word] for word in counters)
    return Meaning("step", split_of(every), rank, counters[0].rstrip("s"))


def _epoch(last: list[str], every: list[str]) -> Meaning | None:
    if not {"epoch", "epochs", "ep"} & set(last) or {"num", "max", "total", "per", "n"} & set(
        every
    ):
        return None
    if set(last) - {"epoch", "epochs", "ep", "train", "trainer", "current"}:
        return None
    return Meaning("epoch", split_of(every), 0, "epoch")


def _rate(last: list[str], every: list[str]) -> Meaning | None:
    named = "lr" in last or {"learning", "rate"} <= set(every[-4:])
    if not named or {"scale", "decay", "min", "max", "warmup", "initial", "mult"} & set(every):
        return None
    rank = sum(word not in {"lr", "learning", "rate", "train", "optim", "0"} for word in last)
    return Meaning("rate", None, rank, "rate")


def _norm(last: list[str], every: list[str]) -> Meaning | None:
    near = set(every[-4:])
    if "gnorm" in last or "gradnorm" in last or ("grads" in last and "norm" in last):
        return Meaning("gradient_norm", None, 0, "gradient_norm")
    if "norm" not in last or {"param", "weight", "layer", "clip", "max", "clipped"} & near:
        return None
    if {"grad", "gradient"} & near or every == ["norm"]:
        rank = 0 if len(last) <= 3 else 1
        return Meaning("gradient_norm", None, rank, "gradient_norm")
    return None


def _accuracy(last: list[str], every: list[str]) -> Meaning | None:
    """Return the part of the predictions that are right, the best so far apart."""
    if not ACCURACIES & set(last) or {"best", "highest", "max", "min"} & set(every):
        return None
    rank = 1 if split_of(every) == "validation" else 0
    return Meaning("accuracy", split_of(every), rank, "accuracy")


def _reward(last: list[str], every: list[str]) -> Meaning | None:
    """Return a mean reward of reinforcement learning, the divergence of an update, its count of
    timesteps, or the margin between the rewards of two answers."""
    name = "_".join(word for word in last if word not in _REWARD_GROUPS)
    if {"approx", "kl"} <= set(last) or "approxkl" in last:
        return Meaning("policy_kl", None, 0, name)
    if last[-1] in ("timesteps", "timestep"):
        return Meaning("timesteps", None, 0, "timesteps")
    if REWARDS & set(every) and {"margin", "margins"} & set(last):
        return Meaning("margin", split_of(every), 0, name)
    if not REWARDS & set(last) or NO_REWARD & set(every):
        return None
    return Meaning("reward", split_of(every), 0, name)
