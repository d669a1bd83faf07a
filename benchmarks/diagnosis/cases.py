"""What is planted where: a table. Adding a case is adding a line, or a corpus to one.

A case is a healthy run of a corpus, its settings jittered within the healthy region, with one or
two things changed. Severity is relative to that run, never absurd.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from corpora import Variant, corpus, write

Factors = dict[str, float]
Values = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One planted thing, and the corpora it is planted in."""

    cause: str
    severity: str
    corpora: str
    """First letters: c chain, r recall, t tales, p prose; sealed: h hidden, l lexicon, s source."""
    times: Factors = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    share: float = 1.0
    kind: str = "plain"


@dataclass(frozen=True)
class Case:
    """A run to be diagnosed. `planted` is empty for a healthy one."""

    name: str
    variant: Variant
    values: Values
    planted: tuple[str, ...] = ()
    severity: str = ""
    alarming: str = ""
    """Why a healthy run may look ill; empty: it does not."""
    healthy: Values = field(default_factory=dict)
    """The healthy twin's settings: the same but for what was planted."""

    @property
    def sealed(self) -> bool:
        return corpus(self.variant.corpus).sealed


BASE: Values = {
    "num_heads": 4, "num_layers": 1, "max_seq_len": 256, "precision": "float32", "device": "cpu",
    "gradient_clip": 1.0, "dropout_rate": 0.0,
}  # fmt: skip

LETTERS = {"c": "chain", "r": "recall", "t": "tales", "p": "prose",
           "h": "hidden", "l": "lexicon", "s": "source"}  # fmt: skip

EXPLODING: Values = {
    "learning_rate": 10.0, "weight_decay": 10.0, "gradient_clip": 0.0, "optimizer": "adamw",
    "warmup_steps": 0,
}  # fmt: skip
SLOW_AND_SMALL = {"learning_rate": 1 / 10, "embed_dim": 1 / 4, "ff_dim": 1 / 4}

# fmt: off
FAULTS = (
    Fault("learning_rate_too_low", "mild", "cpl", times={"learning_rate": 1 / 4}),
    Fault("learning_rate_too_low", "strong", "trhs", times={"learning_rate": 1 / 10}),
    Fault("learning_rate_too_low", "extreme", "p", times={"learning_rate": 1 / 30}),
    Fault("learning_rate_too_high", "mild", "tch", times={"learning_rate": 6}),
    Fault("learning_rate_too_high", "strong", "prs", times={"learning_rate": 15}),
    Fault("learning_rate_too_high", "extreme", "tl", times={"learning_rate": 40}),
    Fault("diverged", "extreme", "cps", values=EXPLODING),
    Fault("model_too_small", "strong", "tps", times={"embed_dim": 1 / 4, "ff_dim": 1 / 4}),
    Fault("model_too_small", "extreme", "rl", values={"embed_dim": 8, "ff_dim": 8, "num_heads": 2}),
    Fault("too_little_data", "strong", "tps", share=1 / 8, times={"epoch": 8}),
    Fault("too_little_data", "extreme", "cl", share=1 / 16, times={"epoch": 16}),
    Fault("undertrained", "strong", "crtpls", times={"epoch": 1 / 3}),
    Fault("batch_too_small", "strong", "tl", times={"batch_size": 1 / 8}),
    Fault("batch_too_large", "mild", "rs", times={"batch_size": 6}),
    Fault("batch_too_large", "strong", "tcph", times={"batch_size": 16}),
    Fault("context_too_short", "strong", "ts", times={"seq_len": 1 / 8, "batch_size": 8}),
    Fault("context_too_short", "extreme", "rh", values={"seq_len": 4}, times={"batch_size": 8}),
    Fault("vocabulary_too_large", "strong", "tps", values={"vocab_size": 2500}),
    Fault("vocabulary_too_small", "strong", "tpls", values={"tokenizer": "byte"}),
    Fault("over_regularised", "mild", "pl", values={"dropout_rate": 0.3}),
    Fault("over_regularised", "strong", "cth", values={"dropout_rate": 0.6}),
    Fault("over_regularised", "extreme", "r", values={"weight_decay": 5.0}),
    Fault("bad_schedule", "strong", "cps", values={"warmup_steps": 400}),
    Fault("bad_schedule", "mild", "tl", values={"schedule": "constant"}),
    Fault("leakage", "strong", "tps", kind="leaking"),
    Fault("duplicates", "strong", "tl", kind="doubled"),
    Fault("duplicates", "mild", "c", kind="doubled"),
    Fault("distribution_shift", "strong", "pth", kind="shifted"),
    Fault("noise_floor", "strong", "crhl", kind="noisy"),
    Fault("learning_rate_too_low+model_too_small", "strong", "ts", times=SLOW_AND_SMALL),
    Fault("batch_too_large+learning_rate_too_low", "strong", "ch",
          times={"learning_rate": 1 / 4, "batch_size": 6}),
    Fault("over_regularised+learning_rate_too_high", "strong", "p",
          values={"dropout_rate": 0.5}, times={"learning_rate": 8}),
)
HEALTHY = (
    Fault("", "a", "crtphls"),
    Fault("", "b", "crtphls"),
    Fault("", "c", "crtp"),
    Fault("", "jagged loss: small batch", "cph", times={"batch_size": 1 / 2}),
    Fault("", "validation below training: dropout", "rs", values={"dropout_rate": 0.05}),
    Fault("", "tiny model that suffices", "c", values={"embed_dim": 24, "ff_dim": 64}),
    Fault("", "high loss in nats: larger vocabulary", "tl", values={"vocab_size": 700}),
    Fault("", "no warm-up", "rh", values={"warmup_steps": 0}),
)
# fmt: on


def healthy_settings(name: str, seed: int) -> Values:
    """A run within the healthy region of a corpus; which one is decided by `seed`."""
    pick = random.Random(seed)
    text = corpus(name).tokenizer == "bpe"
    width = pick.choice([80, 96] if text else [32, 40, 48])
    values = BASE | {
        "embed_dim": width,
        "ff_dim": width * pick.choice([3, 4]),
        "seq_len": pick.choice([32, 40, 48]),
        "batch_size": pick.choice([12, 16]),
        "learning_rate": float(f"{0.003 * pick.uniform(0.8, 1.25):.2g}"),
        "weight_decay": pick.choice([0.05, 0.1, 0.15]),
        "schedule": pick.choice(["wsd", "cosine", "linear"]),
        "epoch": 3,
        "tokenizer": corpus(name).tokenizer,
        "seed": 1000 + seed,
    }
    return values | ({"vocab_size": pick.randrange(360, 460)} if text else {})


def planted(fault: Fault, letter: str) -> Case:
    """One case of `fault`."""
    name = LETTERS[letter]
    label = f"{name}-{fault.cause or 'healthy'}-{fault.severity}".replace(" ", "_")
    seed = random.Random(label).randrange(1000)
    healthy = healthy_settings(name, seed)
    values = healthy | fault.values
    for key, factor in fault.times.items():
        number = healthy[key] * factor
        values[key] = number if key == "learning_rate" else max(1, round(number))
    while values["embed_dim"] % (2 * values["num_heads"]):
        values["embed_dim"] += 1
    if values["tokenizer"] == "byte":
        values.pop("vocab_size", None)
    alarming = fault.severity if not fault.cause and len(fault.severity) > 1 else ""
    causes = tuple(fault.cause.split("+")) if fault.cause else ()
    variant = Variant(name, fault.share, fault.kind)
    return Case(label, variant, values, causes, fault.severity, alarming, healthy)


def cases(*, sealed: bool) -> list[Case]:
    """All cases on development corpora, or on sealed ones."""
    found = [planted(f, letter) for f in (*FAULTS, *HEALTHY) for letter in f.corpora]
    return [case for case in found if case.sealed == sealed]


def config_values(case: Case, texts: Path) -> Values:
    """The settings of a case as `RunConfig` takes them, its text written under `texts`."""
    path, fraction = write(case.variant, texts)
    return case.values | {"corpus_dir": str(path), "validation_fraction": fraction}


def with_variant(case: Case, **changes: Any) -> Case:
    """The same case on another variant of its corpus."""
    return replace(case, variant=replace(case.variant, **changes))
