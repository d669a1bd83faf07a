"""The texts of the planted-fault benchmark: made here, or read from this Python's own library.

A corpus is one file: its last block is held out, so that variants of it (less text, doubled text)
can be evaluated on the same validation bytes. Synthetic ones have a floor that is known exactly.
Those of the `development` split may be looked at while the diagnosis is built. All from `hidden` to
`novel` were sealed until the diagnosis had been run on them once, the `sealed` ones were used four
times, and the `fresh` ones once.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import random
import re
import string
import sysconfig
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from languages.brackets import sample_brackets
from languages.delayed_copy import DelayedCopy, sample_delayed_copy
from languages.hidden_markov import (
    HiddenMarkovModel,
    random_hidden_markov_model,
    sample_hidden,
)
from languages.ladders import sample_ladders
from languages.markov_chain import MarkovChain, random_markov_chain, sample_chain
from languages.phrases import sample_phrases
from languages.zipf_lexicon import make_zipf_lexicon, sample_lexicon

from descend.data import builtin_corpora

SPLITS = ("development", "sealed", "fresh")

NOISE = {"chain": 0.05, "recall": 0.4, "words": 0.05, "hidden": 0.02, "lexicon": 0.0,
         "markov": 0.05, "echo": 0.3, "triads": 0.05, "far": 0.3, "veiled": 0.02,
         "brackets": 0.02, "ladders": 0.05, "phrases": 0.02}  # fmt: skip
HIGH_NOISE = {"chain": 0.8, "recall": 0.95, "words": 0.9, "hidden": 0.8, "lexicon": 1.0,
              "markov": 0.8, "echo": 0.95, "triads": 0.8, "far": 0.95, "veiled": 0.8,
              "brackets": 0.8, "ladders": 0.9, "phrases": 0.9}  # fmt: skip
"""Fraction of symbols drawn at random, plainly and in the `noisy` variant."""
MILD, EXTREME = 0.75, 2.0
"""Times `HIGH_NOISE`, at most all, in the variants `noisy_mild` and `noisy_extreme`."""
COPIES = {"doubled_mild": 2, "doubled": 8, "doubled_extreme": 32}
"""How often the text of a variant stands in it, part of another copy included."""
SHIFTED = {"shifted_mild": 1 / 3, "shifted_half": 1 / 2, "shifted": 1.0}
"""Fraction of the validation text that is of the other corpus."""
LEAKING = {"leaking_mild": 1 / 5, "leaking": 1.0}
"""Fraction of the validation text that stands in training, word for word."""
EDITED = 8
"""In the variant `leaking_edited` all of it stands there, with one word in so many changed."""

WORDS = ("the", "mill", "a", "river")
"""What the symbols of the `words` chain are spelled as: of one letter to five, so that pieces of
several letters pay."""

_SYMBOLS_AT_ONCE = 2**19  # more than any case asks for, so that texts of any size are prefixes


@dataclass(frozen=True)
class Corpus:
    """A source of text. `train_bytes`: a healthy run's training text, about 20,000 tokens."""

    name: str
    split: str
    tokenizer: str
    train_bytes: int
    text: Callable[[float, Path], str]
    """Of a fraction of noise and the folder where files of text lie."""
    other: str
    """The corpus whose text is held out where a shift of distribution is planted."""


@dataclass(frozen=True)
class Variant:
    """One file made of a corpus. Validation bytes are the same for every `share` and `kind` but
    `shifted` and `noisy`."""

    corpus: str
    share: float = 1.0
    """Of the corpus's training bytes."""
    kind: str = "plain"
    validation_bytes: int = 0
    """0: a third of the training bytes, at most as many as there are."""


def _letters(symbols: Iterator[int] | list[int]) -> str:
    return "".join(string.ascii_lowercase[s] for s in symbols)


def _of_chain(chain: MarkovChain, seed: int) -> str:
    return _letters(sample_chain(chain, _SYMBOLS_AT_ONCE, seed).tolist())


def _of_recall(language: DelayedCopy, seed: int) -> str:
    return _letters(sample_delayed_copy(language, _SYMBOLS_AT_ONCE, seed).tolist())


def _of_hidden(model: HiddenMarkovModel, seed: int) -> str:
    return _letters(sample_hidden(model, _SYMBOLS_AT_ONCE, seed).tolist())


def _chain(noise: float, _: Path) -> str:
    return _of_chain(random_markov_chain(2, 4, seed=11, concentration=0.3, noise=noise), seed=12)


def _recall(noise: float, _: Path) -> str:
    return _of_recall(DelayedCopy(2, 5, noise), seed=13)


def _words(noise: float, _: Path) -> str:
    chain = random_markov_chain(
        order=2, symbols=len(WORDS), seed=51, concentration=0.3, noise=noise
    )
    sequence = sample_chain(chain, _SYMBOLS_AT_ONCE // 4, seed=53).tolist()
    return " ".join(WORDS[n] for n in sequence)


def _hidden(noise: float, _: Path) -> str:
    model = random_hidden_markov_model(states=5, symbols=6, seed=21, concentration=0.1, noise=noise)
    return _of_hidden(model, seed=22)


def _lexicon(noise: float, _: Path) -> str:
    lexicon = make_zipf_lexicon(stems=40, endings=4, seed=31, noise=noise)
    return sample_lexicon(lexicon, _SYMBOLS_AT_ONCE // 6, seed=32)


def _prose(_noise: float, _: Path) -> str:
    topics = (
        d.text
        for d in builtin_corpora.read_builtin_corpus("python")
        if d.source.startswith("python: topics")
    )
    return "\n".join(itertools.islice(topics, 60))


def _source(_noise: float, _: Path) -> str:
    folder = Path(sysconfig.get_paths()["stdlib"])
    names = ("argparse", "ast", "calendar", "configparser", "csv", "datetime", "difflib",
             "doctest", "fractions", "heapq", "inspect", "mailbox", "optparse", "pathlib",
             "pickle")  # fmt: skip
    files = (folder / f"{name}.py" for name in names)
    return "\n".join(f.read_text(encoding="utf-8") for f in files if f.is_file())


def _markov(noise: float, _: Path) -> str:
    return _of_chain(random_markov_chain(3, 4, seed=61, concentration=0.2, noise=noise), seed=62)


def _echo(noise: float, _: Path) -> str:
    return _of_recall(DelayedCopy(5, 7, noise), seed=63)


def _stories(_noise: float, _: Path) -> str:
    return "\n".join(
        d.text for d in itertools.islice(builtin_corpora.read_builtin_corpus("stories"), 2000)
    )


def _spanish(_noise: float, folder: Path) -> str:
    """Without its accents: a byte a letter."""
    letters = unicodedata.normalize("NFKD", _file(folder / "quijote.txt"))
    return "".join(x for x in letters if not unicodedata.combining(x))


def _novel(_noise: float, folder: Path) -> str:
    return _file(folder / "moby_dick.txt")


def _triads(noise: float, _: Path) -> str:
    return _of_chain(random_markov_chain(2, 7, seed=71, concentration=0.2, noise=noise), seed=72)


def _far(noise: float, _: Path) -> str:
    return _of_recall(DelayedCopy(3, 9, noise), seed=73)


def _veiled(noise: float, _: Path) -> str:
    model = random_hidden_markov_model(
        states=12, symbols=8, seed=86, concentration=0.05, noise=noise
    )
    return _of_hidden(model, seed=82)


def _regency(_noise: float, folder: Path) -> str:
    return _file(folder / "pride_and_prejudice.txt")


def _headers(_noise: float, _: Path) -> str:
    """C++ of the torch that is installed, the licences at the head of each file cut off."""
    torch_spec = importlib.util.find_spec("torch")
    files = sorted(Path(str(torch_spec and torch_spec.origin)).parent.glob("include/c10/util/*.h"))
    texts = (f.read_text(encoding="utf-8") for f in files)
    return "\n".join(t[t.find("#include") :] for t in texts if "#include" in t)


def _brackets(noise: float, _: Path) -> str:
    return sample_brackets(_SYMBOLS_AT_ONCE, seed=91, noise=noise)


def _ladders(noise: float, _: Path) -> str:
    return sample_ladders(_SYMBOLS_AT_ONCE, seed=92, noise=noise)


def _phrases(noise: float, _: Path) -> str:
    return sample_phrases(_SYMBOLS_AT_ONCE, seed=93, noise=noise)


def _plays(_noise: float, folder: Path) -> str:
    return _file(folder / "tinyshakespeare.txt")


def _docstrings(_noise: float, _: Path) -> str:
    """What NumPy says of its functions, in the order of their names."""
    names = sorted(name for name in dir(np) if callable(getattr(np, name)))
    return "\n\n".join(dict.fromkeys(inspect.getdoc(getattr(np, name)) or "" for name in names))


_BEGINS = 40_000
"""Where a book is read from: past its titles, contents and quotations."""


def _file(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not found; put the book there (see the page)")
    return path.read_text(encoding="utf-8")[_BEGINS : _BEGINS + _SYMBOLS_AT_ONCE]


CORPORA = (
    Corpus("chain", "development", "char", 27_000, _chain, "recall"),
    Corpus("recall", "development", "char", 27_000, _recall, "chain"),
    Corpus("words", "development", "bpe", 60_000, _words, "prose"),
    Corpus("prose", "development", "bpe", 28_000, _prose, "words"),
    Corpus("hidden", "development", "char", 27_000, _hidden, "chain"),
    Corpus("lexicon", "development", "bpe", 50_000, _lexicon, "words"),
    Corpus("source", "development", "bpe", 28_000, _source, "prose"),
    Corpus("markov", "development", "char", 27_000, _markov, "echo"),
    Corpus("echo", "development", "char", 27_000, _echo, "markov"),
    Corpus("stories", "development", "bpe", 60_000, _stories, "novel"),
    Corpus("spanish", "development", "bpe", 42_000, _spanish, "novel"),
    Corpus("novel", "development", "bpe", 42_000, _novel, "spanish"),
    Corpus("triads", "sealed", "char", 27_000, _triads, "far"),
    Corpus("far", "sealed", "char", 27_000, _far, "triads"),
    Corpus("veiled", "sealed", "char", 27_000, _veiled, "triads"),
    Corpus("regency", "sealed", "bpe", 42_000, _regency, "headers"),
    Corpus("headers", "sealed", "bpe", 42_000, _headers, "regency"),
    Corpus("brackets", "fresh", "char", 27_000, _brackets, "ladders"),
    Corpus("ladders", "fresh", "char", 27_000, _ladders, "brackets"),
    Corpus("phrases", "fresh", "bpe", 60_000, _phrases, "plays"),
    Corpus("plays", "fresh", "bpe", 42_000, _plays, "docstrings"),
    Corpus("docstrings", "fresh", "bpe", 42_000, _docstrings, "plays"),
)


def corpus(name: str) -> Corpus:
    """The corpus of that name."""
    return next(c for c in CORPORA if c.name == name)


def sizes(variant: Variant) -> tuple[int, int]:
    """Bytes of training and validation text."""
    train = round(corpus(variant.corpus).train_bytes * variant.share)
    return train, min(variant.validation_bytes or corpus(variant.corpus).train_bytes // 3, train)


def write(variant: Variant, folder: Path) -> tuple[Path, float]:
    """The file of `variant`, made if need be, and the `validation_fraction` that cuts it right."""
    train, num_validation_bytes = sizes(variant)
    name = f"{variant.corpus}-{variant.kind}-{train}-{num_validation_bytes}.txt"
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".partial")
        aside.write_text(_text(variant, train, num_validation_bytes, folder), encoding="utf-8")
        aside.replace(path)
    return path, num_validation_bytes / (train + num_validation_bytes)


def _text(variant: Variant, train: int, num_validation_bytes: int, folder: Path) -> str:
    source = corpus(variant.corpus)
    # Held out comes first in the stream, so that it is the same however much is trained on.
    kind = variant.kind
    stream = _stream(source, _noise(kind), folder)
    validation, train_text = stream[:num_validation_bytes], stream[source.train_bytes :][:train]
    if len(train_text) < train:
        raise ValueError(f"{variant}: found {len(train_text)} bytes of text, expected {train}")
    if kind in SHIFTED:
        other = round(num_validation_bytes * SHIFTED[kind])
        validation = validation[other:] + _stream(corpus(source.other), NOISE, folder)[:other]
    if kind in COPIES:
        train_text = (train_text[: train // COPIES[kind]] * (COPIES[kind] + 1))[:train]
    if kind in LEAKING:
        train_text = (validation[: round(num_validation_bytes * LEAKING[kind])] + train_text)[
            :train
        ]
    if kind == "leaking_edited":
        train_text = (_edited(validation) + train_text)[:train]
    return train_text[:-1] + "\n" + validation


def _noise(kind: str) -> dict[str, float]:
    if not kind.startswith("noisy"):
        return NOISE
    times = {"noisy": 1.0, "noisy_mild": MILD, "noisy_extreme": EXTREME}[kind]
    return {name: min(1.0, times * share) for name, share in HIGH_NOISE.items()}


def _edited(text: str) -> str:
    """`text` with one word in `EDITED`, about, left out, misspelled or followed by another."""
    rng, output = random.Random(0), []
    for word in re.findall(r"\s*\S+", text):
        other = rng.choice(["", word[:-1] + "x" + word[-1], word + " indeed"])
        output.append(other if rng.random() < 1 / EDITED else word)
    return "".join(output)


def _stream(source: Corpus, noise: dict[str, float], folder: Path) -> str:
    return _ascii(source.text(noise.get(source.name, 0.0), folder))


def _ascii(text: str) -> str:
    """One byte a character, so that bytes can be cut anywhere."""
    return text.encode("ascii", "replace").decode("ascii")
