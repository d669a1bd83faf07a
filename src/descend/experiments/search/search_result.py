"""The request and the result of a search: plain records, as they are written, read and shown."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec

from descend.config import NON_SEMANTIC_KEYS
from descend.experiments.compare.comparison_result import Comparison
from descend.experiments.search.space import Param, RangeParam

_FORMAT = 1

FULL_BUDGET = 1000
"""A whole budget, in the thousandths that a study counts: Optuna wants whole numbers."""


class SearchKey(msgspec.Struct, frozen=True, kw_only=True):
    """What decides what its trials are: a study is taken up again for the same question only."""

    fingerprint: str
    """Of the text."""
    base: dict[str, Any]
    """The configuration around which is searched; its seed is that of all trials."""
    space: list[Param]
    budget_unit: str
    evaluation_tokens: int
    format: int = _FORMAT

    @property
    def key(self) -> str:
        """SHA-256 of all of it but the paths."""
        excluded_keys = ("corpus_dir", *NON_SEMANTIC_KEYS)
        base = {k: v for k, v in self.base.items() if k not in excluded_keys}
        content = msgspec.structs.replace(self, base=base)
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


class SearchTrial(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration that was tried; numbers as of its last judgment."""

    number: int
    """Counted from 0."""
    values: dict[str, Any]
    """Of the keys that were searched."""
    state: Literal["finished", "stopped", "failed"]
    """`stopped`: unpromising beside the others; `failed`: could not be trained."""
    bits_per_byte: float | None
    validation_loss: float | None
    accuracy: float | None
    bigram_accuracy: float | None = None
    """Of the bigram baseline with its vocabulary. None in older records."""
    seconds: float | None
    """Of training."""
    steps: int | None
    parameters: int | None
    diverged_step: int | None
    failure_reason: str | None
    """It failed."""
    evaluations: list[tuple[float, float]]
    """Fraction of its budget, and bits per byte of validation text."""


class KeyImportance(msgspec.Struct, frozen=True):
    """How much a key decided about being among the best, as a fraction of all keys."""

    key: str
    fraction: float


def make_run_config(config: dict[str, Any], budget_unit: str, trial: SearchTrial) -> dict[str, Any]:
    """Return `config` for a run of its own: with as many steps as its trial made, where the trials
    had no epochs of their own."""
    return config if budget_unit == "epoch" else config | {"epoch": None, "max_steps": trial.steps}


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """search.json and `search --json`."""

    corpus: str
    budget_unit: str
    budget: float | None
    """Seconds, tokens or steps that each trial had; None when each had its own epochs."""
    minutes: float
    """Requested."""
    minutes_used: float
    """By the trials; the confirmation comes on top."""
    space: Annotated[list[Param], msgspec.Meta(min_length=1)]
    seed: int
    """Of all trials; the confirmation has those that follow."""
    evaluation_tokens: int
    base: dict[str, Any]
    trials: list[SearchTrial]
    base_number: int | None
    """Which of them was the base itself; None where it lies outside what is searched."""
    best_number: int
    best: dict[str, Any]
    """The configuration of the best one, whole."""
    importance: list[KeyImportance]
    """Most important first; empty where too few were tried to say."""
    confirmation: Comparison | None
    """Base and best trained once more, with seeds that had no part in the choice; None where the
    base itself is the best."""
    train_command: str
    """The command that trains the best one."""
    command: str
    """The command that repeats the search, or goes on with it."""
    study: str
    """The file of Optuna's study."""
    sentence: str = ""
    """The answer in plain words, which `report.text.experiment_summary` makes."""
    format: int = _FORMAT

    def __post_init__(self) -> None:
        """Raise `ValueError` for a record whose parts contradict each other."""
        if all(t.state != "finished" or t.bits_per_byte is None for t in self.trials):
            raise ValueError("no finished trial")
        for trial in self.trials:
            for span in self.space:
                value = trial.values.get(span.key, "")
                if value == "" or (isinstance(span, RangeParam) and not _is_number(value)):
                    raise ValueError(f"trial {trial.number} without a value of {span.key[:40]!r}")

    @property
    def best_run_config(self) -> dict[str, Any]:
        """The best configuration for a run of its own, as `train_command` has it."""
        best = next(t for t in self.trials if t.number == self.best_number)
        return make_run_config(self.best, self.budget_unit, best)

    @property
    def ranking(self) -> list[SearchTrial]:
        """Those that were finished, the best first, each configuration once."""
        finished = [t for t in self.trials if t.state == "finished"]
        finished.sort(key=lambda t: t.bits_per_byte or float("inf"))
        once: dict[str, SearchTrial] = {}
        for one in finished:
            once.setdefault(repr(sorted(one.values.items())), one)
        return list(once.values())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
