"""Answers beside each other: those that contradict, those that are all the same, and too few."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from descend.data_check.example_file import Example
from descend.data_check.problem_report import DataProblem
from descend.data_check.problems.answer_problems import MAX_LABEL_FRACTION, MIN_WORDS
from descend.units import format_count

MAX_ANSWERS_COMPARED = 20
"""Different answers to one prompt, the most frequent ones."""
MAX_CHOICES = 3
"""Different answers that differ in numbers alone: more are numbers drawn at random."""
MIN_OPPOSED_FRACTION = 0.5
"""Of the prompts with several short answers. Where fewer have opposite ones, as in the dialogues
of plays, people answered so."""
MIN_OPPOSED_ANSWERS = 0.5
"""Of the answers to a prompt. Where fewer are opposite, there are more ways to answer it."""
MIN_SAME_PROMPT_FRACTION = 0.5
MIN_LOST, MIN_DIFFERENT_FRACTION = 10, 0.8
"""Answers to a prompt, and how many of them are different, where it may lack what was said before.
First guesses."""
MIN_LOST_PROMPTS, MIN_LOST_FRACTION = 3, 0.1
"""Such prompts, and of all answers, for a warning: one prompt may ask for many stories. First
guesses."""
MIN_SEVERAL_FRACTION = 0.02
"""Of the answers, for a warning that prompts have several."""
MIN_ANSWERS = 5
"""Fewer are too few to call all of them the same."""
MAX_SAME_ANSWER, MAX_SAME_REPLY, MAX_SAME_LABEL = 0.9, 0.5, 0.8
"""Of all answers: a problem, a warning, and a warning where answers are labels."""
FEW_EXAMPLES, FAR_TOO_FEW = 50, 10
"""Origin: OpenAI's guide to supervised fine-tuning accepts 10 examples or more, saw improvements
from 50 to 100 on, and advises to begin with 50. LIMA (Zhou et al. 2023) used 1,000."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_SHORTENED_NOT = re.compile(r"(?:\b(won|can|shan)|n)['’]t\b", re.IGNORECASE)
_NOT = frozenset([
    "not", "no", "never", "cannot", "none", "nothing", "nicht", "kein", "keine", "keinen",
    "nie", "ne", "pas", "non", "jamais", "nunca", "não", "nao", "не", "нет", "不", "没", "沒", "無",
    "无", "非", "未", "否",
])  # fmt: skip
_YES = frozenset([
    "yes", "yeah", "yep", "true", "correct", "right", "positive", "ja", "oui", "vrai", "si",
    "sí", "sim", "wahr", "richtig", "да", "是", "对", "對",
])  # fmt: skip
_NO = frozenset([
    "no", "nope", "false", "incorrect", "wrong", "negative", "nein", "non", "faux", "não",
    "falsch", "нет", "否", "不", "错", "錯",
])  # fmt: skip
_HELPERS = frozenset([
    "do", "does", "did", "is", "are", "was", "were", "will", "can", "shall", "it", "be",
])  # fmt: skip

Prompt = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PromptAnswers:
    """All answers to one prompt, with how often each stands there, and the lines of all."""

    prompt: str
    answers: Counter[str]
    lines: tuple[int, ...]
    spelled: dict[str, str]
    """Each answer as it first stands there."""

    @property
    def count(self) -> int:
        """How many answers there are."""
        return self.answers.total()


@dataclass(frozen=True)
class AnswerGroups:
    """The answers of a file by their prompts, grouped once for all who compare them."""

    all: list[PromptAnswers]
    plain: list[PromptAnswers]
    """Of the examples without a rating and without a rejected answer."""
    pairs: list[Example]
    """The preference pairs."""


def group_answers(examples: Sequence[Example]) -> AnswerGroups:
    """Group the answers in `examples` by their prompts."""
    plain = [e for e in examples if e.rejected is None and not e.is_rated]
    groups = _group_answers(examples)
    return AnswerGroups(
        groups, groups if len(plain) == len(examples) else _group_answers(plain),
        [e for e in examples if e.rejected is not None],
    )  # fmt: skip


def contradicting_answers(
    answer_groups: AnswerGroups,
) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return prompts with answers that contradict each other, and those where they may.

    Answers contradict if they differ in a negation, in yes and no, or in a number alone, or if they
    are labels. Different long answers are what a model may say too.
    """
    groups = answer_groups.plain
    several = [group for group in groups if len(group.answers) > 1]
    counts = Counter(answer for group in groups for answer in group.answers.elements())
    are_labels = len(counts) <= MAX_LABEL_FRACTION * counts.total()
    opposed = [g for g in several if _is_opposed(g) or (are_labels and _is_short(g))]
    short = [g for g in several if _is_short(g)]
    opposed_short = [g for g in short if g in opposed]
    if len(opposed_short) < MIN_OPPOSED_FRACTION * len(short):
        opposed = [g for g in opposed if g not in opposed_short]
    problems = _reversed_preferences(answer_groups.pairs)
    if opposed:
        problems.append(_contradiction(opposed))
    unsure = [g for g in short if g not in opposed]
    known = {id(g) for g in (*opposed, *unsure)}
    rest = [g for g in several if id(g) not in known and g.count >= MIN_ANSWERS]
    remarks = _many_answers(rest, counts.total())
    if sum(g.count for g in unsure) >= MIN_SEVERAL_FRACTION * counts.total() and unsure:
        remarks.append(_several_answers(unsure))
    return problems, remarks


def uniform_answers(answer_groups: AnswerGroups) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return the answer that most or all examples have: a problem, or a warning."""
    groups = answer_groups.all
    counts = Counter(answer for group in groups for answer in group.answers.elements())
    total = counts.total()
    if total < MIN_ANSWERS:
        return [], []
    answer, count = counts.most_common(1)[0]
    are_labels = 1 < len(counts) <= MAX_LABEL_FRACTION * total
    spelled = next(group.spelled[answer] for group in groups if answer in group.answers)
    limit = MAX_SAME_LABEL if are_labels else MAX_SAME_REPLY
    if count < limit * total:
        return [], []
    problem = DataProblem(
        "uniform_answers",
        f"{count} of {format_count(total, 'answer')} are {_quoted(spelled)}, so a model that "
        f"always says this is right in {count / total:.0%}",
        sorted({line for group in groups if answer in group.answers for line in group.lines}),
        "add examples with other answers, or remove most of these, unless the model is to say this "
        "so often",
    )
    is_problem = not are_labels and count >= MAX_SAME_ANSWER * total
    return ([problem], []) if is_problem else ([], [problem])


def few_examples(answer_groups: AnswerGroups) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return a warning where there are fewer different examples than fine-tuning needs.

    Paraphrases of a few questions with the same long answers are as few as these answers.
    """
    groups = answer_groups.all
    answers = {answer for group in groups for answer in group.answers}
    are_long = any(len(_WORD.findall(answer)) >= MIN_WORDS for answer in answers)
    pairs = sum(len(group.answers) for group in groups)
    count = min(pairs, len(answers)) if are_long else pairs
    if not 0 < count < FEW_EXAMPLES:
        return [], []
    what = "example" if count == pairs else "answer"
    amount = "far too few" if count < FAR_TOO_FEW else "few"
    return [], [DataProblem(
        "few_examples",
        f"{format_count(count, f'different {what}')} {'is' if count == 1 else 'are'} {amount}: "
        f"OpenAI's guide asks for {FAR_TOO_FEW} at least and advises {FEW_EXAMPLES} to 100, LIMA "
        "(2023) used 1,000",
        sorted({line for group in groups for line in group.lines}),
        "collect more examples, each with a prompt and an answer of its own",
    )]  # fmt: skip


def _group_answers(examples: Sequence[Example]) -> list[PromptAnswers]:
    """Return the answers to each prompt: to all that was said before them."""
    answers: dict[Prompt, Counter[str]] = defaultdict(Counter)
    lines: dict[Prompt, list[int]] = defaultdict(list)
    prompts: dict[Prompt, str] = {}
    spelled: dict[Prompt, dict[str, str]] = defaultdict(dict)
    for example in examples:
        prompt: Prompt = ()
        before = ""
        for role, said in example.conversation:
            plain = _plain(said)
            if role == "assistant" and plain and any(by != "system" for by, _ in prompt):
                answers[prompt][plain] += 1
                lines[prompt].append(example.line)
                prompts.setdefault(prompt, before)
                spelled[prompt].setdefault(plain, said)
            before = said if role != "assistant" else before
            prompt += ((role, plain),)
    return [
        PromptAnswers(
            prompts[prompt], counts, tuple(sorted(set(lines[prompt]))), spelled[prompt],
        )
        for prompt, counts in answers.items()
    ]  # fmt: skip


def _plain(text: str) -> str:
    """Return `text` without what makes no other text: case, white space, and the mark at its
    end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .!?。")


def _is_short(group: PromptAnswers) -> bool:
    """Return whether at least two of the answers are short, and none is part of another one."""
    words = [set(_WORD.findall(a)) for a in _frequent(group) if len(_WORD.findall(a)) < MIN_WORDS]
    return any(not (a <= b or b <= a) for a, b in combinations(words, 2))


def _is_opposed(group: PromptAnswers) -> bool:
    """Return whether most of the answers have an opposite one."""
    opposed = _opposed_answers(group)
    return sum(group.answers[a] for a in opposed) >= MIN_OPPOSED_ANSWERS * group.count and bool(
        opposed
    )


def _opposed_answers(group: PromptAnswers) -> list[str]:
    """Return the answers that contradict another one, the most frequent first."""
    numbers_are_drawn = len(group.answers) > MAX_CHOICES and len(group.answers) == group.count
    usual = _frequent(group)
    opposed = {
        answer
        for pair in combinations(usual, 2)
        if (kind := _opposition(*pair)) and not (kind == "number" and numbers_are_drawn)
        for answer in pair
    }
    return [answer for answer in usual if answer in opposed]


def _frequent(group: PromptAnswers) -> list[str]:
    return [answer for answer, _ in group.answers.most_common(MAX_ANSWERS_COMPARED)]


def _opposition(one: str, other: str) -> str:
    """Return how two answers contradict each other: by a `word`, by a `number`, or not."""
    a, b = (Counter(_WORD.findall(_SHORTENED_NOT.sub(r"\1 not", t))) for t in (one, other))
    only_a, only_b = set(a - b), set(b - a)
    first_a, first_b = (next(iter(_WORD.findall(t)), "") for t in (one, other))
    if (first_a in _YES and first_b in _NO) or (first_b in _YES and first_a in _NO):
        return "word"
    differing = only_a | only_b
    if differing & (_NOT | _NO) and differing <= _NOT | _YES | _NO | _HELPERS:
        return "word"
    if only_a and only_b and all(word.isdecimal() for word in differing):
        return "number"
    return ""


def _contradiction(groups: list[PromptAnswers]) -> DataProblem:
    count = sum(group.count for group in groups)
    best = sum(max(group.answers.values()) for group in groups)
    has = "has" if len(groups) == 1 else "have"
    return DataProblem(
        "contradicting_answers",
        f"{format_count(len(groups), 'prompt')} {has} answers that contradict each other, as "
        f"{_describe_answers(max(groups, key=lambda g: g.count))}. A model is right in at most "
        f"{best / count:.0%} of these {count} answers",
        _lines(groups),
        "leave one answer to each prompt, or put into the prompt what decides it (a picture, a "
        "text)",
    )


def _several_answers(groups: list[PromptAnswers]) -> DataProblem:
    has = "has" if len(groups) == 1 else "have"
    return DataProblem(
        "contradicting_answers",
        f"{format_count(len(groups), 'prompt')} {has} several short answers, which contradict each "
        f"other or are meant so, as {_describe_answers(max(groups, key=lambda g: g.count))}",
        _lines(groups), "leave one answer to each prompt, unless all are right",
    )  # fmt: skip


def _lacks_context(group: PromptAnswers) -> bool:
    """Return whether nearly each of many answers to a prompt is another one, as to “continue” in a
    conversation of which only the last turns were kept."""
    return group.count >= MIN_LOST and len(group.answers) >= MIN_DIFFERENT_FRACTION * group.count


def _many_answers(groups: list[PromptAnswers], total: int) -> list[DataProblem]:
    """Return a remark where half of all answers are to one prompt, or several prompts lack context
    and have much of the answers."""
    many = [g for g in groups if g.count >= MIN_SAME_PROMPT_FRACTION * total]
    lost = [g for g in groups if _lacks_context(g)]
    if len(lost) >= MIN_LOST_PROMPTS and sum(g.count for g in lost) >= MIN_LOST_FRACTION * total:
        many = lost
    if not many:
        return []
    first = max(many, key=lambda group: group.count)
    if len(many) == 1:
        prompts = f"the same prompt, {_quoted(first.prompt)}"
    else:
        prompts = f"{len(many)} prompts, as {_quoted(first.prompt)} ({first.count} answers)"
    num_answers = sum(group.count for group in many)
    num_different = sum(len(group.answers) for group in many)
    return [DataProblem(
        "contradicting_answers",
        f"{num_answers} of {total} answers are to {prompts}, and {num_different} of them differ: "
        "the text that they are about or the turns before them are missing, or all are right",
        _lines(many), "put into the prompt what the answer is about, and what was said before",
    )]  # fmt: skip


def _reversed_preferences(pairs: Sequence[Example]) -> list[DataProblem]:
    """Return pairs that prefer what another pair with the same prompt rejects in its favor."""
    by_choice: dict[tuple[Prompt, str, str], list[int]] = defaultdict(list)
    for pair in pairs:
        turns = tuple((role, _plain(said)) for role, said in pair.conversation)
        if turns and not pair.is_tie:
            key = turns[:-1], turns[-1][1], _plain(pair.rejected or "")
            by_choice[key].append(pair.line)
    lines = sorted(
        line for (prompt, chosen, rejected), at in by_choice.items()
        if (prompt, rejected, chosen) in by_choice for line in at
    )  # fmt: skip
    return [DataProblem(
        "contradicting_answers",
        "a pair prefers an answer that another pair with the same prompt rejects, and the reverse",
        lines, "leave one of the two pairs",
    )] if lines else []  # fmt: skip


def _describe_answers(group: PromptAnswers) -> str:
    answers = " and ".join(
        f"{_quoted(group.spelled[answer])} ({format_count(group.answers[answer], 'time')})"
        for answer in (_opposed_answers(group) or _frequent(group))[:2]
    )
    return f"{_quoted(group.prompt)} with {answers}"


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:59]}…”" if len(text) > 60 else f"“{text}”"


def _lines(groups: list[PromptAnswers]) -> list[int]:
    return sorted({line for group in groups for line in group.lines})
