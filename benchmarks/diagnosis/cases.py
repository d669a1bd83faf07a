"""What is planted where: a table. Adding a case is adding a line, or a corpus to one.

A case is a healthy run of a corpus, its settings jittered within the healthy region, with one or
two things changed. Severity is relative to that run, never absurd.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from corpora import CORPORA, NOISE, Variant, corpus, write

Factors = dict[str, float]
Values = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One planted thing, and the corpora it is planted in."""

    cause: str
    severity: str
    corpora: str
    """First letters, as in `LETTERS`; those of sealed corpora come after the stroke."""
    times: Factors = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    share: float = 1.0
    kind: str = "plain"


@dataclass(frozen=True)
class PlantedRun:
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
    def split(self) -> str:
        return corpus(self.variant.corpus).split


BASE: Values = {
    "num_heads": 4, "num_layers": 1, "max_seq_len": 1024, "precision": "float32", "device": "cpu",
    "gradient_clip": 1.0, "dropout_rate": 0.0,
}  # fmt: skip

LETTERS = {"c": "chain", "r": "recall", "w": "words", "p": "prose",
           "h": "hidden", "l": "lexicon", "s": "source",
           "m": "markov", "e": "echo", "t": "stories", "q": "spanish", "n": "novel",
           "d": "triads", "f": "far", "v": "veiled", "g": "regency", "x": "headers"}  # fmt: skip

FRESH = tuple(c.name for c in CORPORA if c.split == "fresh")

EXPLODING: Values = {
    "learning_rate": 10.0, "weight_decay": 10.0, "gradient_clip": 0.0, "optimizer": "adamw",
    "warmup_steps": 0,
}  # fmt: skip
TINY: Values = {"embed_dim": 8, "ff_dim": 8, "num_heads": 1}
NARROW = {"embed_dim": 1 / 4, "ff_dim": 1 / 4}
SLOW_AND_SMALL = {"learning_rate": 1 / 10} | NARROW

# fmt: off
FAULTS = (
    Fault("learning_rate_too_low", "mild", "cwphmtq|dvg", times={"learning_rate": 1 / 2.5}),
    Fault("learning_rate_too_low", "strong", "rwhsetn|fvx", times={"learning_rate": 1 / 10}),
    Fault("learning_rate_too_low", "extreme", "cplmtn|dvx", times={"learning_rate": 1 / 30}),
    Fault("learning_rate_too_high", "mild", "cphlmet|dfv", times={"learning_rate": 3}),
    Fault("learning_rate_too_high", "strong", "rwstqn|vgx", times={"learning_rate": 8}),
    Fault("learning_rate_too_high", "extreme", "cwletn|fvx", times={"learning_rate": 30}),
    Fault("diverged", "extreme", "cpwlsmeqtn|dfgvx", values=EXPLODING),
    Fault("model_too_small", "mild", "rphmtq|dvg", times=NARROW),
    Fault("model_too_small", "strong", "wpsetn|fvx", times={"embed_dim": 1 / 8, "ff_dim": 1 / 8}),
    Fault("model_too_small", "extreme", "crwlmetn|dfvx", values=TINY),
    Fault("too_little_data", "strong", "cwphsmeqn|dfgx", share=1 / 8, times={"epoch": 8}),
    Fault("too_little_data", "extreme", "rwletq|fvg", share=1 / 16, times={"epoch": 16}),
    Fault("undertrained", "strong", "crwphlsmetqn|dfvgx", times={"epoch": 1 / 3}, share=1 / 2),
    Fault("undertrained", "mild", "wpmq|dg", times={"epoch": 1 / 2}),
    Fault("batch_too_small", "strong", "rwhlmet|dfv", values={"batch_size": 1}),
    Fault("batch_too_large", "mild", "rwphsetn|fvx", times={"batch_size": 3}),
    Fault("batch_too_large", "strong", "cwplmqn|dgx", times={"batch_size": 8}),
    Fault("context_too_short", "mild", "wprhsetqn|fvgx", times={"seq_len": 1 / 8, "batch_size": 8}),
    Fault("context_too_short", "strong", "crwhlmetn|dfvx", values={"seq_len": 2},
          times={"batch_size": 16}),
    Fault("context_unused", "strong", "cwhsmetq|dfvg", values={"batch_size": 1, "seq_len": 512}),
    Fault("vocabulary_too_large", "strong", "plstqn|gx", values={"vocab_size": 2500}),
    Fault("vocabulary_too_small", "strong", "wplstqn|gx", values={"tokenizer": "byte"}),
    Fault("over_regularized", "mild", "cpwlmtn|dvx", values={"dropout_rate": 0.3}),
    Fault("over_regularized", "strong", "cwrhsmeqn|dfgx", values={"dropout_rate": 0.6}),
    Fault("over_regularized", "extreme", "rpsletqn|fvgx", values={"weight_decay": 8.0}),
    Fault("bad_schedule", "strong", "cpwhsmetq|dfvg", values={"warmup_steps": 500}),
    Fault("bad_schedule", "mild", "wrlemt|fdv", values={"schedule": "constant"}),
    Fault("data_leakage", "strong", "wpcslmetqn|dfvgx", kind="leaking"),
    Fault("duplicate_data", "strong", "cwplhmtqn|dvgx", kind="doubled"),
    Fault("distribution_shift", "strong", "pwchsmetqn|dfvgx", kind="shifted"),
    Fault("noise_floor", "strong", "crwhlme|df", kind="noisy"),
    Fault("too_little_data", "mild", "sn|x", share=1 / 4, times={"epoch": 4}),
    Fault("undertrained", "extreme", "tq|g", times={"epoch": 1 / 3}, share=1 / 4),
    Fault("batch_too_small", "mild", "hm|f", values={"batch_size": 2}),
    Fault("batch_too_small", "extreme", "le|v", values={"batch_size": 1}, times={"seq_len": 1 / 2}),
    Fault("batch_too_large", "extreme", "et|v", times={"batch_size": 16}),
    Fault("context_too_short", "between", "tq|x", values={"seq_len": 4}, times={"batch_size": 14}),
    Fault("context_unused", "mild", "tl|g", values={"batch_size": 2, "seq_len": 256}),
    Fault("context_unused", "extreme", "sq|x", values={"batch_size": 1, "seq_len": 1024}),
    Fault("vocabulary_too_large", "mild", "tn|g", values={"vocab_size": 1500}),
    Fault("vocabulary_too_large", "extreme", "sq|x", values={"vocab_size": 4000}),
    Fault("vocabulary_too_small", "mild", "tn|g", values={"vocab_size": 350}),
    Fault("vocabulary_too_small", "between", "sq|x", values={"vocab_size": 290}),
    Fault("bad_schedule", "extreme", "et|v", values={"warmup_steps": 5000}),
    Fault("data_leakage", "mild", "nm|d", kind="leaking_mild"),
    Fault("data_leakage", "edited", "nq|g", kind="leaking_edited"),
    Fault("duplicate_data", "mild", "nt|d", kind="doubled_mild"),
    Fault("duplicate_data", "extreme", "qm|g", kind="doubled_extreme"),
    Fault("distribution_shift", "mild", "pt|d", kind="shifted_mild"),
    Fault("distribution_shift", "between", "ne|g", kind="shifted_half"),
    Fault("noise_floor", "mild", "em|d", kind="noisy_mild"),
    Fault("noise_floor", "extreme", "ch|f", kind="noisy_extreme"),
    Fault("learning_rate_too_low+model_too_small", "strong", "wpsetn|fvx", times=SLOW_AND_SMALL),
    Fault("batch_too_large+learning_rate_too_low", "strong", "crhmet|dfv",
          times={"learning_rate": 1 / 3, "batch_size": 3}),
    Fault("context_too_short+learning_rate_too_low", "strong", "rhem|fd",
          values={"seq_len": 2}, times={"learning_rate": 1 / 8, "batch_size": 16}),
    Fault("over_regularized+learning_rate_too_high", "strong", "pwltqn|gxv",
          values={"dropout_rate": 0.5}, times={"learning_rate": 6}),
)
HEALTHY = (
    Fault("", "a", "crwphlsmetqn|dfvgx"),
    Fault("", "b", "crwphlsmetqn|dfvgx"),
    Fault("", "c", "crwhlmet|dfv"),
    Fault("", "d", "crwhlmet|dfv"),
    Fault("", "jagged loss: small batch", "cwhlmet|dfv", times={"batch_size": 1 / 2}),
    Fault("", "validation below training: dropout", "rwhlmet|dfv", values={"dropout_rate": 0.03}),
    Fault("", "tiny model that suffices", "cwhlmet|dfv", values={"embed_dim": 24, "ff_dim": 64}),
    Fault("", "no warm-up", "crhlmet|dfv", values={"warmup_steps": 0}),
    Fault("", "clipped most of the time", "crhmet|dfv", values={"gradient_clip": 0.3}),
    Fault("", "trained past what helps", "cwhlmet|dfv", times={"epoch": 3}),
    Fault("", "high rate that does no harm", "rwhlmet|dfv", times={"learning_rate": 1.4}),
)
# fmt: on


@dataclass(frozen=True)
class Region:
    """Where runs of a corpus are healthy, or as near to it as runs of a second come."""

    widths: tuple[int, int]
    epochs: int
    vocabulary: int
    """The smallest of its pieces; up to a third more."""
    num_layers: int = 1


EASY = Region((32, 40), 2, 300)
REGIONS = {
    "prose": Region((48, 64), 3, 600), "source": Region((48, 64), 3, 600),
    "markov": Region((48, 64), 4, 300), "echo": Region((32, 40), 3, 300),
    "stories": Region((64, 72), 3, 1000),
    "spanish": Region((48, 64), 2, 600), "novel": Region((48, 64), 2, 600),
    "triads": Region((48, 64), 3, 300), "veiled": Region((40, 56), 3, 300),
    "regency": Region((48, 64), 2, 800), "headers": Region((48, 64), 2, 600),
    "brackets": Region((40, 56), 3, 300, num_layers=2),
    "ladders": Region((48, 56), 4, 300, num_layers=2),
    "phrases": Region((40, 48), 2, 300), "plays": Region((56, 80), 3, 700, num_layers=2),
    "docstrings": Region((56, 72), 3, 700),
}  # fmt: skip
"""Of those that differ from `EASY`. More text helps every tiny run on real text."""

TWINS = 4
"""Healthy runs of each corpus that cases start from."""

DRAW_NAMES = {
    "data_leakage": "leakage", "duplicate_data": "duplicates",
    "over_regularized": "over_regularised",
}  # fmt: skip
"""Causes by the name that seeds the draw of their healthy run: the stored labels were made with
it."""


def healthy_settings(name: str, number: int) -> Values:
    """Run `number` (0 to `TWINS` - 1) within the healthy region of a corpus."""
    seed = random.Random(f"{name} {number}").randrange(1000)
    rng = random.Random(seed)
    pieces, region = corpus(name).tokenizer == "bpe", REGIONS.get(name, EASY)
    width = rng.choice(region.widths)
    values = BASE | {
        "embed_dim": width,
        "num_layers": region.num_layers,
        "ff_dim": 3 * width,
        "seq_len": rng.choice([48, 64]),
        "batch_size": rng.choice([6, 8]),
        "learning_rate": float(f"{0.0035 * rng.uniform(0.8, 1.2):.2g}"),
        "weight_decay": rng.choice([0.05, 0.1, 0.15]),
        "schedule": rng.choice(["wsd", "cosine", "linear"]),
        "epoch": region.epochs,
        "tokenizer": corpus(name).tokenizer,
        "seed": 1000 + seed,
    }
    size = rng.randrange(region.vocabulary, region.vocabulary * 4 // 3)
    return values | ({"vocab_size": size} if pieces else {})


def planted(fault: Fault, name: str) -> PlantedRun:
    """One case of `fault` on the corpus of that name."""
    label = f"{name}-{fault.cause or 'healthy'}-{fault.severity}".replace(" ", "_")
    numbered = "abcd".find(fault.severity)
    number = numbered if numbered >= 0 else draw_number(label)
    healthy = healthy_settings(name, number)
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
    return PlantedRun(label, variant, values, causes, fault.severity, alarming, healthy)


def draw_number(label: str) -> int:
    """The healthy run that the case `label` starts from."""
    for cause, name in DRAW_NAMES.items():
        label = label.replace(cause, name)
    return random.Random(label).randrange(TWINS)


def cases(split: str) -> list[PlantedRun]:
    """All cases on the corpora of a split."""
    if split == "fresh":
        return fresh_cases()
    candidates = [
        planted(f, LETTERS[letter])
        for f in (*FAULTS, *HEALTHY)
        for letter in f.corpora
        if letter in LETTERS
    ]
    return [case for case in candidates if case.split == split]


def fresh_cases() -> list[PlantedRun]:
    """Every fault on one corpus of the split `fresh`, every healthy run on two, drawn by chance
    among those that it can be planted in."""
    rng = random.Random(20261130)
    candidates = []
    for fault in (*FAULTS, *HEALTHY):
        suited = FRESH
        if "vocabulary" in fault.cause:
            suited = tuple(c for c in FRESH if corpus(c).tokenizer == "bpe")
        elif fault.cause == "noise_floor":
            suited = tuple(c for c in FRESH if c in NOISE)
        count = 1 if fault.cause else 2
        candidates += [planted(fault, name) for name in rng.sample(suited, count)]
    return candidates


def config_values(case: PlantedRun, texts: Path) -> Values:
    """The settings of a case as `RunConfig` takes them, its text written under `texts`."""
    path, fraction = write(case.variant, texts)
    return case.values | {"corpus_dir": str(path), "validation_fraction": fraction}


def with_variant(case: PlantedRun, **changes: Any) -> PlantedRun:
    """The same case on another variant of its corpus."""
    return replace(case, variant=replace(case.variant, **changes))
