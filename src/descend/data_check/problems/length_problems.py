"""Lengths that show without a tokenizer where training cuts, and where answers were cut."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from descend.data_check.chat_tokenizer import ChatTokenizer
from descend.data_check.example_file import Example
from descend.data_check.problem_report import DataProblem
from descend.data_check.problems.answer_problems import MIN_WORDS, has_sentence_end

MIN_BYTES_PER_TOKEN = 3
"""A tokenizer that knows the language has more, one of another language may have fewer. Each word
is at least one token."""
MIN_PILE = 4
"""Fewer answers of one length may be chance."""
PILE_RATIO = 4
"""The longest length is a limit where it has this many times the answers of any other length over
half of it."""


def cut_without_tokenizer(
    examples: Sequence[Example], max_length: int | None
) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return examples that are cut at `max_length` tokens, their answers apart, and those that may
    be."""
    if max_length is None:
        return [], []
    sure: dict[str, list[int]] = defaultdict(list)
    unsure: dict[str, list[int]] = defaultdict(list)
    for example in examples:
        if example.input_ids is not None:
            continue
        said = [text for _, text in example.conversation] or [example.text or ""]
        roles = [role for role, _ in example.conversation]
        before = said[: roles.index("assistant")] if "assistant" in roles else []
        for name, texts in (("labels_all_masked", before), ("length_outliers", said)):
            text = " ".join(texts)
            if len(text.split()) > max_length:
                sure[name].append(example.line)
            elif len(text.encode(errors="replace")) > MIN_BYTES_PER_TOKEN * max_length:
                unsure[name].append(example.line)
    return _cut_problems(sure, max_length, True), _cut_problems(unsure, max_length, False)


def _cut_problems(by_name: dict[str, list[int]], limit: int, is_sure: bool) -> list[DataProblem]:
    may = "" if is_sure else "may "
    s = "s" if is_sure else ""
    masked = f"the first answer {may}begin{s} after token {limit:,}, where training cuts"
    long = f"{may}be over {limit:,} tokens, where training cuts"
    long = long.removeprefix("be ")
    evidence = {"labels_all_masked": masked, "length_outliers": long}
    fix = "shorten them, or raise the maximum length"
    return [
        DataProblem(name, evidence[name], lines, fix)  # type: ignore[arg-type]
        for name, lines in by_name.items()
    ]


def answers_of_maximum_length(
    examples: Sequence[Example], tokenizer: ChatTokenizer | None
) -> list[DataProblem]:
    """Return answers that were cut at a limit: many have the length of the longest, and most of
    them do not end as a sentence does."""
    answers = [
        (example.line, answer)
        for example in examples
        for answer in example.answers
        if len(answer.split()) >= MIN_WORDS
    ]
    measures: list[tuple[str, Callable[[str], int]]] = [
        ("characters", len), ("words", lambda text: len(text.split())),
    ]  # fmt: skip
    if tokenizer is not None:
        measures.append(("tokens", lambda text: len(tokenizer.encode(text))))
    for unit, measure in measures:
        lengths = [measure(text) for _, text in answers]
        if not is_pile(lengths):
            continue
        limit = max(lengths)
        pile = [one for one, n in zip(answers, lengths, strict=True) if n == limit]
        texts = {text for _, text in pile}
        num_open = sum(not has_sentence_end(text.rstrip()) for text in texts)
        if len(texts) >= MIN_PILE and num_open > len(texts) / 2:
            return [DataProblem(
                "truncated_answers",
                f"answers are cut at {limit:,} {unit}: none is longer, and "
                f"{num_open:,} of {len(texts):,} of this length end within a sentence",
                sorted({line for line, _ in pile}),
                "make these answers again with a higher limit, or remove them",
            )]  # fmt: skip
    return []


def is_pile(lengths: Sequence[int]) -> bool:
    """Return whether far more have the longest length than any other length over half of it."""
    counts = Counter(lengths)
    limit = max(counts, default=0)
    others = max((n for length, n in counts.items() if limit / 2 < length < limit), default=0)
    return counts[limit] >= max(MIN_PILE, PILE_RATIO * others)
