"""Problems of examples beside each other: duplicates, roles, and lines that are none."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from descend.data.readers.chats import ROLES, known_role
from descend.data_check.example_file import Example, ExampleFile
from descend.data_check.problem_report import DataProblem

MAX_MISFIT_FRACTION = 0.5
"""Of the examples with labels."""


def duplicates(examples: Sequence[Example], number: str = "line") -> list[DataProblem]:
    """Return examples that occur before, apart from case and white space.

    A text with another label is no duplicate: the two contradict each other.
    """
    first: dict[tuple[bytes, object], int] = {}
    again: list[int] = []
    of = 0
    for example in examples:
        key = fingerprint(example, prompt_only=False), example.label
        if key in first:
            again.append(example.line)
            of = of or first[key]
        else:
            first[key] = example.line
    problems = _ties(examples)
    if again:
        problems.append(DataProblem(
            "duplicates", f"the same example as before: {number} {again[0]} is {number} {of}",
            again, "remove these lines",
        ))  # fmt: skip
    return problems


def _ties(examples: Sequence[Example]) -> list[DataProblem]:
    """Return preference pairs of two equal answers."""
    ties = [example.line for example in examples if example.is_tie]
    return [DataProblem(
        "duplicates", "the chosen answer is the rejected one, so that nothing is preferred", ties,
        "remove these pairs, or restore the answers that were rejected",
    )] if ties else []  # fmt: skip


def train_in_validation(train: ExampleFile, validation: ExampleFile) -> list[DataProblem]:
    """Return examples of the training data whose prompt is in the validation data."""
    problems = []
    taken: set[int] = set()
    for prompt_only, what in (
        (False, "the same example"),
        (True, "an example with the same prompt"),
    ):
        there: dict[bytes, int] = {}
        for example in validation.examples:
            if not prompt_only or example.conversation:
                there.setdefault(fingerprint(example, prompt_only), example.line)
        lines = [
            (example.line, there[key]) for example in train.examples
            if example.line not in taken and (not prompt_only or example.conversation)
            and (key := fingerprint(example, prompt_only)) in there
        ]  # fmt: skip
        taken |= {line for line, _ in lines}
        if lines:
            here, other = lines[0]
            problems.append(DataProblem(
                "train_in_validation",
                f"{what} is in {validation.path.name}: {train.number} {here} is "
                f"{validation.number} {other} there",
                [line for line, _ in lines], "remove these lines from one of the two files",
            ))  # fmt: skip
    return problems


def mixed_roles(examples: Sequence[Example]) -> list[DataProblem]:
    """Roles of several spellings, unknown ones, and turns in an order that cannot be learned."""
    by_kind: dict[tuple[str, str], list[int]] = defaultdict(list)
    spellings = Counter(
        "/".join(sorted(_names_of_speakers(e))) for e in examples if len(_names_of_speakers(e)) > 1
    )
    usual = spellings.most_common(1)[0][0] if spellings else ""
    for example in examples:
        if not example.conversation:
            continue
        roles = [role for role, _ in example.conversation]
        known = [role for role in roles if role != "system"]
        if unknown := sorted({role for role in roles if role not in ROLES}):
            key = f"the role {unknown[0]!r} is unknown", f"use one of {', '.join(ROLES)}"
            by_kind[key].append(example.line)
        names = _names_of_speakers(example)
        if usual and not unknown and names - {*usual.split("/")}:
            key = f"other names of roles than {usual}", "give all examples the same names"
            by_kind[key].append(example.line)
        if "system" in roles[1:]:
            by_kind["a turn of system after the first", "put it first"].append(example.line)
        for key in _wrong_order(known):
            by_kind[key].append(example.line)
    return [DataProblem("mixed_roles", what, lines, fix) for (what, fix), lines in by_kind.items()]


def _wrong_order(roles: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is wrong with the order of the roles of a conversation, and how to correct it.

    An answer with the role of the user is no question that nobody answers: to join or remove it
    would lose what is to be learned.
    """
    if roles[-2:] == ["user", "user"]:
        return [(
            "the last two turns are of the user, so the answer may have the wrong role",
            "give the answer the role assistant; remove the last turn where it is none",
        )]  # fmt: skip
    if len(roles) > 1 and roles[0] == "assistant" and roles[-1] == "user":
        return [(
            "the assistant speaks first and the user last, so the roles may be swapped",
            "swap the roles, or begin with the user and end with the assistant",
        )]  # fmt: skip
    problems = []
    if any(a == b in ("user", "assistant") for a, b in pairwise(roles)):
        problems.append(("two turns of the same role in a row", "join these turns"))
    if roles[:1] == ["assistant"]:
        problems.append(("the assistant speaks first", "begin with a turn of the user"))
    if roles[-1:] == ["user"]:
        problems.append(("the last turn is of the user", "remove it: nothing answers it"))
    return problems


def _names_of_speakers(example: Example) -> set[str]:
    """Return how the user and the assistant are called; not every example has a system or tools."""
    return {name for name in example.roles if known_role(name) not in ("system", "tool")}


def unreadable_lines(file: ExampleFile) -> list[DataProblem]:
    """Return lines that are no example, and those whose lists do not fit to each other."""
    by_reason: dict[str, list[int]] = defaultdict(list)
    for line, reason in file.unreadable:
        by_reason[reason].append(line)
    return [
        DataProblem("unreadable_lines", reason, lines, "correct or remove these lines")
        for reason, lines in by_reason.items()
    ] + _misfits(file.examples)


def labels_rarely_fit(examples: Sequence[Example]) -> bool:
    """Return whether most labels are not one for each token, as those of a decoder behind an
    encoder, and those of whole texts."""
    labeled = [example for example in examples if example.labels is not None]
    num_misfits = sum("labels" in dict(example.misfits) for example in labeled)
    return num_misfits > MAX_MISFIT_FRACTION * len(labeled)


def _misfits(examples: Sequence[Example]) -> list[DataProblem]:
    """Return examples with another number of values than of tokens."""
    misfits: dict[str, list[tuple[Example, int]]] = defaultdict(list)
    for example in examples:
        for key, length in example.misfits:
            misfits[key].append((example, length))
    if labels_rarely_fit(examples):
        del misfits["labels"]
    return [
        DataProblem(
            "unreadable_lines",
            f"{key} of another length than input_ids, as {pairs[0][1]} for "
            f"{len(pairs[0][0].input_ids or ())}",
            [example.line for example, _ in pairs],
            f"make as many values in {key} as there are tokens, or remove these lines",
        )
        for key, pairs in misfits.items() if pairs
    ]  # fmt: skip


def fingerprint(example: Example, prompt_only: bool) -> bytes:
    """Return a hash of what an example says, without case, white space, and label."""
    turns = example.conversation
    if prompt_only:
        turns = tuple(turn for turn in turns if turn[0] != "assistant")
    elif example.rejected is not None:
        turns += (("rejected", example.rejected),)
    parts = [f"{role}\n{said}" for role, said in turns]
    if not example.conversation:
        parts.append(example.text or str(example.input_ids))
    text = " ".join("\n\n".join(parts).casefold().split())
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
