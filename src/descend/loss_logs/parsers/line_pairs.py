"""The named numbers of a line that some program printed.

A line is cut into words, numbers and signs. The words since the last number or separator are the
name of the next number; `10/500` is a counter with its end, `[10]` one without a name. A line that
names a split (`valid | loss 9.2`, `DEV : loss 2.4`) names it for what follows on it.
"""

from __future__ import annotations

import math
import re

from descend.loss_logs.column_names import (
    QUOTAS,
    STEPS,
    TRAIN,
    VALIDATION,
    Meaning,
    meaning_of,
    split_identifier,
)
from descend.loss_logs.log_row import Pair
from descend.loss_logs.number_parsing import number, trim_special
from descend.loss_logs.parsers.bare_lines import bare_line_pairs

_TOKEN = re.compile(
    r"(?P<fraction>(?<![\d/.:-])\d+\s*/\s*\d+(?![\d/.:]))"
    r"|(?P<number>[-+−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<word>[A-Za-z_][\w/.\-]*)"
    r"|(?P<sign>[|;,{}\[\]%<])"
)
_SPECIAL = frozenset({"nan", "inf", "infinity", "-inf", "-nan"})
_NULL = frozenset({"null", "none"})
_NO_NUMBER = _SPECIAL | _NULL
_STEP = Meaning("step", None, 9, "bare")
EPOCH = Meaning("epoch", None, 0, "epoch")
DICTIONARY = re.compile(r"\{\s*['\"]\w")
_GLUED_EPOCH = re.compile(r"\b(\d+)epoch\b")
_GLUED_BATCH = re.compile(r"\b\d+-(\d+)batch\b")
_BRACKETED_EPOCH = re.compile(r"^\s*\[\s*(\d+),\s+(\d+)\]\s+(?:\w+\s+)?loss\b", re.I)
"""Epoch and step in front, as PyTorch's tutorial for images prints: `[1,  2000] loss: 2.17`."""
_STEP_AND_SECONDS = re.compile(r"^\s*\[(\d+) \| \d+\.\d+\]\s+(?:\w+\s+)?loss\b", re.I)
"""Step and seconds in front, as gpt-2-simple prints: `[10 | 31.60] loss=3.29 avg=3.29`."""
_TENSOR = re.compile(r"\b(?:tensor|Array)\(")
_LEVELS = frozenset({"debug", "info", "warning", "warn", "error"})
_BEFORE_COUNTER = TRAIN | VALIDATION | {"epoch"}
_BEFORE_FRACTION = _BEFORE_COUNTER | STEPS.keys() | _LEVELS
_BETWEEN = re.compile(r"\s*%?\s*(?:[,;]\s*[(\[]?|[(\[])\s*")
"""What stands between a quota and its counts: a comma, a bracket, or both."""
_PROGRESS = frozenset(
    {"progress", "done", "complete", "completed", "finished", "at", "ep", "epochs", "trained"}
)
_SOURCE_LINE = re.compile(
    r"[\w./\\<>~-]*\.(?:pyx?|ipynb|c|cc|cpp|cu|h|hpp|rs|go|jl)(?:\"?, line |:)\d+:?"
)
# Where a warning comes from: `optim/lr_scheduler.py:209:` is no rate.
_LOSS_NAME = re.compile(r"(?:(?:train|training|val|valid|validation|test|eval)[ _])?loss\b", re.I)
_ESTIMATOR = "Saving dict for global step"
"""What TensorFlow's estimators write in front of an evaluation."""
_MAX_NAME_WORDS = 6
_PER_SECOND = re.compile(r"\s*[A-Za-z]+/s(?:ec(?:ond)?)?\b(?!\s*[:=]?\s*[\d.])", re.I)
"""Behind a number that is a speed: `28555.16 words/s`. Before a number it is the name of that."""
MAX_UNIT_CHARS = 2
"""Letters right behind a number that are its unit, as in `337.50s` and `70ms`."""


def pairs_of(text: str, block: str = "") -> tuple[list[Pair], list[str]]:
    """Return the named numbers of a line that matter, and all names in it; `block`: the split that
    a line above names for this one."""
    if (bare_pairs := bare_line_pairs(text)) is not None:
        return bare_pairs
    reader = _PairReader(_TENSOR.sub("(", _SOURCE_LINE.sub(" ", text)), block)
    return reader.read(), reader.names


class _PairReader:
    """Goes through a line once, token by token."""

    def __init__(self, text: str, block: str) -> None:
        self.text = text
        self.split = "eval" if _ESTIMATOR in text else block
        self.pairs = _glued(text)
        self.names: list[str] = []
        self.words: list[str] = []
        """Since the last number or separator: the name of the next number."""
        self.loss_before: Meaning | None = None
        """A loss that was named and whose value stands behind a sign or a counter."""
        self.bare_counter: Pair | None = None
        self.has_named_step = any(meaning.role == "step" for meaning, _, _, _ in self.pairs)
        dictionary = DICTIONARY.search(text)
        if dictionary is not None and "loss" not in text[dictionary.start() :]:
            dictionary = None  # `dev | avg_loss: 2.51 | {'rougeL': 7.3}`: the loss is in front
        self.begin = dictionary.start() if dictionary is not None else 0
        """Where the numbers that matter begin."""
        self.follows_bracket = False
        self.number_end = -1
        """Where the token before ends, if it is a number."""
        self.quota: re.Match[str] | None = None
        """The last number that is a part of some whole, such as an accuracy."""

    def read(self) -> list[Pair]:
        """Return the pairs of the whole line."""
        for token in _TOKEN.finditer(self.text):
            if token.lastgroup == "word":
                self._read_word(token)
            elif token.lastgroup == "sign":
                self._read_sign(token[0])
            else:
                self._read_number(token)
            self.follows_bracket = token[0] == "["
            self.number_end = token.end() if token.lastgroup == "number" else -1
        counter = self.bare_counter
        if counter is not None and (not self.has_named_step or counter[2] is not None):
            self.pairs.append(counter)
        return self.pairs

    def _read_word(self, token: re.Match[str]) -> None:
        word = token[0].rstrip(".-/")
        if token.start() == self.number_end and len(word) <= MAX_UNIT_CHARS:
            return
        low = trim_special(word.lower())
        if low in _NO_NUMBER and (meaning := meaning_of(tuple(self.words))) is not None:
            if token.start() >= self.begin:
                self.pairs += _missing_number(low, meaning, self.split)
            self.words = []
            return
        if low in VALIDATION or low in TRAIN or low in ("train_inner", "valid_subset"):
            self.split = low
        self.words = [*self.words, word][-_MAX_NAME_WORDS:]

    def _read_sign(self, sign: str) -> None:
        if sign in "|;{}":  # `train CrossEntropyLoss | 8.11`: the value stands behind
            self.loss_before = _loss_of(self.words) if sign == "|" else None
        # `valid | loss` names the split for the line; `loss train: 1, val: n/a` no value.
        if sign in "|;,{}":
            self.words = []

    def _read_number(self, token: re.Match[str]) -> None:
        is_percent = self.text[token.end() :].lstrip(" ")[:1] == "%"
        is_money = self.text[max(token.start() - 1, 0)] in "$€£"
        if self._counts_a_quota(token):
            return
        if _PER_SECOND.match(self.text, token.end()):
            self.words = []
            return
        meaning = meaning_of(tuple(self.words)) if self.words else self.loss_before
        if _names_quota(self.words, is_percent=is_percent):
            self.quota = token
        if token.start() >= self.begin and is_percent:
            if meaning is not None and meaning.role == "accuracy":
                self.pairs.append((meaning, (number(token[0]) or 0.0) / 100, None, self.split))
        elif token.start() >= self.begin and not is_money:
            whole, _, end = token[0].partition("/")
            self.loss_before = _loss_before(self.words, meaning)
            if meaning is not None:
                value = number(whole)
                if value is not None:
                    self.pairs.append((meaning, value, number(end) if end else None, self.split))
                    self.has_named_step |= meaning.role == "step"
            elif self._may_count(token) and _is_counter(token, self.text, self.follows_bracket):
                self.bare_counter = (_STEP, float(whole), number(end) if end else None, "")
        if self.words:
            self.names.append(self.words[-1])
        self.words = []

    def _counts_a_quota(self, token: re.Match[str]) -> bool:
        """Return whether a fraction stands right behind a quota, so that it holds its counts:
        `accuracy: 20.78%, (512/2466)`."""
        quota = self.quota
        if token.lastgroup != "fraction" or self.words or quota is None:
            return False
        between = self.text[quota.end() : token.start()]
        value = number(quota[0])
        if value is None or _BETWEEN.fullmatch(between) is None:
            return False
        part, whole = (float(count) for count in token[0].split("/"))
        percent = 100 if "%" in between or value > 1 else 1
        last_digit = float(10 ** -len(quota[0].partition(".")[2]))
        counted = percent * part / whole if whole else math.inf
        return min(abs(counted - value), abs(percent - counted - value)) <= last_digit

    def _may_count(self, token: re.Match[str]) -> bool:
        """Return whether a counter without a name is still looked for: the last one before the
        loss counts, or the first one behind it. Before `10/500` a logger's name may stand."""
        words, named = self.words, _BEFORE_COUNTER
        if token.lastgroup == "fraction":
            words, named = words[-2:], _BEFORE_FRACTION
        if self.begin or any(w.lower() not in named for w in words):
            return False
        has_loss = any(meaning.role == "loss" for meaning, _, _, _ in self.pairs)
        return self.bare_counter is None or not has_loss


def _names_quota(words: list[str], *, is_percent: bool) -> bool:
    """Return whether a number with this name is a part of some whole that is not the run itself."""
    last = set(split_identifier(words[-1])) if words else set()
    of_the_run = last & (_PROGRESS | _BEFORE_FRACTION)
    return bool(last & QUOTAS) or (is_percent and bool(last) and not of_the_run)


def _missing_number(low: str, meaning: Meaning, split: str) -> list[Pair]:
    """Return a loss that is `nan`, `inf`, or missing; nothing for another missing number."""
    if low in _NULL:
        return [(meaning, float("nan"), None, split)] if meaning.role == "loss" else []
    return [(meaning, float(low), None, split)]


def _loss_of(words: list[str]) -> Meaning | None:
    meaning = meaning_of(tuple(words)) if words else None
    return meaning if meaning is not None and meaning.role == "loss" else None


def _loss_before(words: list[str], meaning: Meaning | None) -> Meaning | None:
    """Return the loss that is named before a counter: `validation loss after step 500: 3.2`."""
    if meaning is None or meaning.role not in ("step", "epoch"):
        return None
    names = (_loss_of(words[:end]) for end in range(len(words) - 1, 0, -1))
    return next(filter(None, names), None)


def _glued(text: str) -> list[Pair]:
    """Counters whose name follows the number, as ESPnet prints them (`1epoch:train:1-100batch`),
    or that have none."""
    pairs: list[Pair] = []
    if (bracketed := _BRACKETED_EPOCH.match(text)) is not None:
        pairs.append((EPOCH, float(bracketed[1]), None, ""))
        pairs.append((Meaning("step", None, 3, "batch"), float(bracketed[2]), None, ""))
    if (timed := _STEP_AND_SECONDS.match(text)) is not None:
        pairs.append((_STEP, float(timed[1]), None, ""))
    if (batch := _GLUED_BATCH.search(text)) is not None:
        pairs.append((Meaning("step", None, 3, "batch"), float(batch[1]), None, ""))
    if (epoch := _GLUED_EPOCH.search(text)) is not None:
        pairs.append((EPOCH, float(epoch[1]), None, ""))
    return pairs


def _is_counter(token: re.Match[str], text: str, follows_bracket: bool) -> bool:
    """Return whether a number without a name counts steps: `10/500`, `[10]`, or `10 |` or `10 loss`
    in front."""
    if token.lastgroup == "fraction":
        done, total = token[0].split("/")
        return float(done) <= float(total)
    behind = text[token.end() :].lstrip()
    in_front = token.start() == 0 and (
        (behind[:1] in ("|", ":") and behind[1:2] == " ")
        or (text[token.end() :][:1] == " " and _LOSS_NAME.match(behind) is not None)
    )
    return token[0].isdigit() and (in_front or (follows_bracket and behind[:1] == "]"))
