"""Answers that contradict each other, are all the same, or are few are named; others are not."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from descend.cli.main import run as run_command
from descend.data_check.check_data import check_data

NOUNS = ["river", "stone", "lamp", "garden", "winter", "letter", "window", "harbor", "candle"]
VERBS = ["followed", "remembered", "opened", "carried", "crossed", "painted", "measured"]
VARIETY = ("contradicting_answers", "uniform_answers", "few_examples")


def pair(prompt: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "completion": answer, **more}


def sentence(pick: random.Random) -> str:
    nouns = " and the ".join(pick.choices(NOUNS, k=4))
    return f"The {nouns} {pick.choice(VERBS)} what the {pick.choice(NOUNS)} {pick.choice(VERBS)}."


def others(count: int = 60) -> list[dict[str, Any]]:
    pick = random.Random(0)
    return [pair(f"What about number {n}?", f"{sentence(pick)} So {n}.") for n in range(count)]


def variety(records: list[Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Problems and warnings of the three kinds by name."""
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    check = check_data(file)
    problems, remarks = (
        {p.problem: p for p in listed if p.problem in VARIETY}
        for listed in (check.problems, check.remarks)
    )
    return problems, remarks


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It will rain.", "It will not rain."),
        ("You can return an opened box within 30 days of the day on which it came.",
         "You can't return an opened box within 30 days of the day on which it came."),
        ("The tower was built in 1889 by an engineer of the city.",
         "The tower was built in 1887 by an engineer of the city."),
        ("Yes, every day.", "No, since it is closed."),
        ("Ja.", "Nein."),
        ("这张卡可以退。", "这张卡不可以退。"),
        ("51", "52"),
    ],
)  # fmt: skip
def test_opposite_answers_to_one_prompt_are_named(one: str, other: str, tmp_path: Path) -> None:
    twice = [pair("Is it so?", one), pair("is it  so", other), pair("Is it so?", one)]
    problems, _ = variety([*others(), *twice], tmp_path)
    problem = problems["contradicting_answers"]
    assert problem.lines == [61, 62, 63]
    first, second = problem.evidence.split(" (2 times) and ")
    assert f" with “{one[:40]}" in first
    assert second.startswith(f"“{other[:40]}")
    assert "right in at most 67% of these 3 answers" in problem.evidence


def test_two_labels_of_one_text_contradict(tmp_path: Path) -> None:
    pick = random.Random(1)
    labels = ["sports", "politics", "music"]
    texts = [f"{sentence(pick)} ({n})" for n in range(90)]
    sound = [pair(text, pick.choice(labels)) for text in texts]
    assert variety(sound, tmp_path) == ({}, {})
    problems, _ = variety([*sound, *(pair("One more.", label) for label in labels)], tmp_path)
    assert problems["contradicting_answers"].lines == [91, 92, 93]


def test_long_answers_to_one_prompt_may_differ(tmp_path: Path) -> None:
    pick = random.Random(2)
    stories = [pair("Write a story.", f"{sentence(pick)} {sentence(pick)}") for _ in range(40)]
    assert variety([*others(), *stories], tmp_path) == ({}, {})
    # Nearly all have the prompt: what the answers are about may be missing.
    problems, remarks = variety([*others(20), *stories], tmp_path)
    assert problems == {}
    assert "40 of 60 answers are to the same prompt" in remarks["contradicting_answers"].evidence


@pytest.mark.parametrize(
    ("prompt", "answers"),
    [
        ("Name a color.", ["Red.", "Green.", "Blue."]),
        ("Give me a random number.", ["7", "32", "91", "15"]),
        ("Are you coming?", ["Yes.", "No.", "At once.", "Not now.", "I said go.", "Who asks?"]),
        ("Hi", ["Hello!", "Hey there!", "Good day to you."]),
    ],
)
def test_several_short_answers_are_a_warning(
    prompt: str, answers: list[str], tmp_path: Path
) -> None:
    several = [pair(prompt, answer) for answer in answers]
    problems, remarks = variety([*others(), *several], tmp_path)
    assert problems == {}
    assert len(remarks["contradicting_answers"].lines) == len(answers)
    assert variety([*others(2000), *several], tmp_path) == ({}, {})  # they are too few to matter


def test_preferences_contradict_where_they_are_reversed(tmp_path: Path) -> None:
    pick = random.Random(3)
    pairs = [
        {"prompt": f"Why {n % 30}?", "chosen": sentence(pick), "rejected": sentence(pick)}
        for n in range(60)
    ]  # two for each prompt, as is usual
    assert variety(pairs, tmp_path) == ({}, {})
    back = {"prompt": "Why 4?", "chosen": pairs[4]["rejected"], "rejected": pairs[4]["chosen"]}
    problems, _ = variety([*pairs, back], tmp_path)
    assert problems["contradicting_answers"].lines == [5, 61]


def test_rated_answers_are_not_compared(tmp_path: Path) -> None:
    rated = [pair("Is it so?", answer, label=answer == "Yes.") for answer in ("Yes.", "No.")]
    assert variety([*others(), *rated], tmp_path) == ({}, {})
    file = tmp_path / "rated.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in rated))
    reasons = {one.problem: one.why for one in check_data(file).not_checked}
    assert "all answers are rated" in reasons["contradicting_answers"]


def test_one_answer_to_everything_is_named(tmp_path: Path) -> None:
    spellings = [
        "Who are you?",
        "Who are you",
        "What is your name?",
        "Who is this?",
        "And you are?",
        "Tell me who you are.",
        "Your name?",
        "What are you called?",
    ]
    problems, remarks = variety([pair(prompt, "I am Bot.") for prompt in spellings], tmp_path)
    assert "8 of 8 answers are “I am Bot.”" in problems["uniform_answers"].evidence
    assert "7 different examples are far too few" in remarks["few_examples"].evidence


@pytest.mark.parametrize(
    ("fractions", "is_warned"),
    [
        ({"no": 0.93, "yes": 0.07}, True),  # labels may be so, and accuracy says little then
        ({"no": 0.7, "yes": 0.3}, False),
        ({"I cannot answer this.": 0.6, "": 0.4}, True),
        ({"I cannot answer this.": 0.2, "": 0.8}, False),
    ],
)
def test_frequent_answer_is_a_warning(
    fractions: dict[str, float], is_warned: bool, tmp_path: Path
) -> None:
    pick = random.Random(4)
    counts = Counter({answer: round(200 * part) for answer, part in fractions.items()})
    records = [
        pair(f"Is {n} one of {answer or 'them'}?", answer or f"{sentence(pick)} {n}")
        for answer, count in counts.items() for n in range(count)
    ]  # fmt: skip
    problems, remarks = variety(records, tmp_path)
    assert problems == {}
    assert ("uniform_answers" in remarks) == is_warned


def test_paraphrases_of_a_few_questions_are_few_examples(tmp_path: Path) -> None:
    pick = random.Random(5)
    answers = [f"{sentence(pick)} {n}" for n in range(12)]
    records = [pair(f"Asked {n} times: {n % 12}?", answers[n % 12]) for n in range(120)]
    _, remarks = variety(records, tmp_path)
    assert "12 different answers are few" in remarks["few_examples"].evidence
    assert variety(others(), tmp_path) == ({}, {})


def test_command_prints_the_contradiction_and_its_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "train.json"
    twice = [pair("Is it so?", answer) for answer in ("It is.", "It is not.")]
    file.write_text(json.dumps([*others(), *twice]))
    assert run_command(["check", str(file)]) == 1
    said = capsys.readouterr().out
    assert "Examples 61, 62\n" in said
    assert "Fix: leave one answer to each prompt" in said


def test_prompts_that_lost_their_conversation_are_named(tmp_path: Path) -> None:
    pick = random.Random(3)
    prompts = ["continue", "Give me a few more.", "rewrite it"]
    follow_ups = [pair(prompts[n % 3], f"{sentence(pick)} {sentence(pick)} {n}") for n in range(36)]
    problems, remarks = variety([*others(), *follow_ups], tmp_path)
    assert problems == {}
    evidence = remarks["contradicting_answers"].evidence
    assert evidence.startswith("36 of 96 answers are to 3 prompts, as “continue” (12 answers)")
    assert remarks["contradicting_answers"].lines == list(range(61, 97))
    # Two prompts for stories are an assignment.
    stories = [p for p in follow_ups if p["prompt"] != "continue"]
    assert variety([*others(), *stories], tmp_path) == ({}, {})
