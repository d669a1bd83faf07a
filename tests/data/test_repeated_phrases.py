"""Phrases that make up much of a text are named; what belongs to a kind of text is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.cli.main import run as command_line
from descend.data.repeated_phrases import repeated_phrases

NOUNS = [
    "river", "stone", "lamp", "garden", "winter", "letter",
    "window", "harbor", "mountain", "candle", "engine", "orchard",
]  # fmt: skip
VERBS = [
    "followed", "remembered", "opened", "carried", "crossed",
    "painted", "measured", "answered", "left", "repaired",
]  # fmt: skip
NAMES = ["Anna", "Ben", "Carl", "Dora", "Emil", "Fay"]


def sentence(pick: random.Random) -> str:
    return (
        f"The {pick.choice(NOUNS)} {pick.choice(VERBS)} a {pick.choice(NOUNS)} near the "
        f"{pick.choice(NOUNS)} that {pick.choice(NAMES)} {pick.choice(VERBS)} {pick.choice(NOUNS)}."
    )


def lines_of(make: Callable[[random.Random, int], str], count: int = 1500) -> list[str]:
    pick = random.Random(0)
    return "\n".join(make(pick, n) for n in range(count)).split("\n")


def chat_with_bot(pick: random.Random, n: int) -> str:
    if n % 2:
        return f"{pick.choice(NAMES)}: {sentence(pick)}"
    return f"LevelBot: Well done @{pick.choice(NAMES)}_{n}, you have reached level {n % 40}!"


def irc_with_bot(pick: random.Random, n: int) -> str:
    said = sentence(pick) if n % 3 else f"{pick.choice(NAMES)} has joined the channel, hello!"
    return f"[{n % 24:02}:{n % 60:02}:07] <{'Bot' if n % 3 == 0 else pick.choice(NAMES)}> {said}"


def novel_with_advertisement(pick: random.Random, n: int) -> str:
    return sentence(pick) + ("\n更多精彩全本小说免费下载请记住本站网址" * (n % 12 == 0))


def sentence_in_paragraphs(pick: random.Random, n: int) -> str:
    return f"{sentence(pick)} {sentence(pick)} Subscribe to our weekly letter for more of this."


@pytest.mark.parametrize(
    ("make", "begins", "share"),
    [
        (chat_with_bot, "LevelBot: Well done", 0.45),
        (irc_with_bot, "[00:00:07] <Bot>", 0.25),
        (novel_with_advertisement, "更多精彩全本", 0.02),
        (sentence_in_paragraphs, "Subscribe to our weekly letter", 0.22),
    ],
)
def test_repeated_phrase_is_named_with_its_share(
    make: Callable[[random.Random, int], str], begins: str, share: float
) -> None:
    (phrase,) = repeated_phrases(lines_of(make))
    assert phrase.text.startswith(begins)
    assert phrase.fraction == pytest.approx(share, rel=0.3)


FINE: dict[str, Callable[[random.Random, int], str]] = {
    "speakers of a play": lambda pick, _: (
        pick.choice(("HAMLET.", "FIRST LORD OF THE COURT.", "Second Lord of the Court."))
        + f"\n{sentence(pick)}"),
    "log": lambda pick, n: f"2026-11-30 10:{n % 60:02}:{n % 59:02} INFO {pick.choice(NOUNS)} "
    f"{pick.choice(('was sent to the server', 'could not be read from disk'))} {sentence(pick)}",
    "log of patterns": lambda pick, n: f"worker {n % 9} has sent {n} rows to the {n % 3} server",
    "table": lambda pick, n: f"| {pick.choice(NAMES)} | {n} | shipped to the customer on time |\n"
    f"{sentence(pick)}",
    "code": lambda pick, n: f"def {pick.choice(VERBS)}_{n}(self):\n    {sentence(pick)}\n"
    "    raise NotImplementedError('subclasses have to do this')\n    return None",
    "short answers": lambda pick, _: pick.choice(("Yes.", "No.", "I do not know.", sentence(pick))),
    "refrain": lambda pick, n: sentence(pick) + (
        "\nAnd the wind sang over the hills of home" * (n < 18)),
    "instruction": lambda pick, _: "<|user|>\nSay what the following text is about, please.\n"
    f"{sentence(pick)}\n<|assistant|>\n{sentence(pick)}",
    "dialogue": lambda pick, _: f"{pick.choice(NAMES)}: {sentence(pick)}",
}  # fmt: skip


@pytest.mark.parametrize("kind", FINE)
def test_what_belongs_to_a_kind_of_text_is_not_named(kind: str) -> None:
    assert repeated_phrases(lines_of(FINE[kind])) == ()


def test_few_lines_are_a_poem_whatever_repeats() -> None:
    assert repeated_phrases(lines_of(chat_with_bot, 200)) == ()


def test_stats_names_phrases_of_one_document_and_of_a_long_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count in (800, 12_000):  # all of it, and pieces
        file = tmp_path / f"chat{count}.txt"
        file.write_text("\n".join(lines_of(chat_with_bot, count)))
        assert command_line(["corpus", "stats", str(file), "--vocab-size", "300"]) == 0
        said = capsys.readouterr().out
        assert "1 phrase repeats and makes up 4" in said
        assert "LevelBot: Well done" in said
        assert "Remove these lines if a bot" in said
