"""Problems of single answers and characters: empty, a placeholder, cut, or in a wrong encoding."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from descend.data_check.example_file import Example
from descend.data_check.problem_report import DataProblem

MIN_WORDS = 8
"""Shorter answers need no end of a sentence."""
MIN_COMPLETE_FRACTION = 0.8
"""Where fewer long answers end as sentences do, an open end says nothing."""
MIN_OPEN_FRACTION = 0.2
"""Of the long answers without a mark at their end, those that end on a word after which a sentence
goes on. A limit of tokens cuts on any word, and two in five are such. Where fewer are, the answers
are written so."""
OPEN_BY_CHANCE = 0.1
MAX_CHANCE = 0.1
"""Of ten informal answers that are whole, about one ends so: “the town I live in”."""
MAX_LABEL_FRACTION = 0.2
"""Different answers over all answers, up to which they are labels, of which `None` may be one."""

_NEVER_LAST = re.compile(
    r"(?:[,\[{–—-]|(?<![:;=])(?<![:;=]-)\(|\b(?:a|an|and|or|the|my|your|their|our|every|than|because|although|unless|"
    r"whether|into|onto|during|including|involves?|includes?|requires|contains|provides))$",
    re.IGNORECASE,
)
"""Ends after which every sentence goes on; ":(" is none."""
_RARELY_LAST = re.compile(
    r"\b(?:as|at|but|by|for|from|if|in|is|of|on|that|to|which|with)$", re.IGNORECASE
)
"""Ends after which most sentences go on: "the town I live in" does not."""
_LIST_ITEM = re.compile(r"\s*(?:\d+[.)]|[-*•]|[A-Za-z][.)])\s")
"""The items of a list and of an outline end without a mark."""
_SENTENCE_END = re.compile(r"[.!?…。！？:;)\]}\"'”’»`*|>=\d]$")
_NO_TEXT = re.compile(r"<\W*no[\s_-]*(?:input|output|answer|response)\W*>", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"\W*(?:n/?a|none|null|nan|undefined|todo|tbd|no (?:answer|output|response))\W*|[.…?_-]+",
    re.IGNORECASE,
)


def truncated_answers(examples: Sequence[Example]) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return answers that stop within a sentence or a block of code, and those that may."""
    long = [
        (example.line, answer.strip())
        for example in examples
        for answer in example.answers
        if len(answer.split()) >= MIN_WORDS
    ]
    fenced = [line for line, answer in long if answer.count("```") % 2]
    cut, unsure = _cut_sentences([one for one in long if one[0] not in set(fenced)], long)
    fix = "make these answers again with a higher limit of tokens, or remove them"
    problems, remarks = [], []
    if cut:
        problems.append(DataProblem(
            "truncated_answers", f"answers stop within a sentence, as in {_ending(cut[0][1])}",
            sorted({line for line, _ in cut}), fix,
        ))  # fmt: skip
    if fenced:
        problems.append(DataProblem(
            "truncated_answers", "a block of code (```) is opened and not closed",
            sorted(set(fenced)), fix,
        ))  # fmt: skip
    if unsure:
        remarks.append(DataProblem(
            "truncated_answers",
            f"answers end without a mark, cut or written so, as in {_ending(unsure[0][1])}",
            sorted({line for line, _ in unsure}), fix,
        ))  # fmt: skip
    return problems, remarks


def has_sentence_end(answer: str) -> bool:
    """Return whether the last character is one that ends a sentence, a list, or code."""
    return bool(_SENTENCE_END.search(answer))


def _ending(answer: str) -> str:
    return "“…{}”".format(answer[-40:].replace("\n", " "))


def _cut_sentences(
    answers: list[tuple[int, str]], long: list[tuple[int, str]]
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Return the answers that are cut, and those of which that cannot be said."""
    complete = sum(bool(_SENTENCE_END.search(answer)) for _, answer in long)
    if complete < MIN_COMPLETE_FRACTION * len(long):
        return [], []
    unfinished = [one for one in answers if _stops_within_sentence(one[1])]
    is_open = [_NEVER_LAST.search(a) or _RARELY_LAST.search(a) for _, a in unfinished]
    num_open = sum(map(bool, is_open))
    if num_open >= MIN_OPEN_FRACTION * len(unfinished) and _is_above_chance(num_open, len(is_open)):
        return unfinished, []
    sure = [one for one in unfinished if _NEVER_LAST.search(one[1])]
    return sure, [one for one in unfinished if one not in sure]


def _is_above_chance(num_open: int, count: int) -> bool:
    """Return whether so many of `count` whole answers rarely end on an open word."""
    p = OPEN_BY_CHANCE
    tail = sum(math.comb(count, k) * p**k * (1 - p) ** (count - k)
               for k in range(num_open, count + 1))  # fmt: skip
    return tail < MAX_CHANCE


def _stops_within_sentence(answer: str) -> bool:
    """Return whether a sentence cannot end so, or the last line is prose without a mark at its
    end."""
    if _NEVER_LAST.search(answer) or _RARELY_LAST.search(answer):
        return True
    line = answer.rsplit("\n", 1)[-1]
    words = line.split()
    if len(words) < MIN_WORDS or _LIST_ITEM.match(line) or _SENTENCE_END.search(answer):
        return False
    has_unit = words[-2][-1].isdigit()  # "62.8 cm"
    return words[-1].isalpha() and words[-1].islower() and not has_unit


def empty_answers(examples: Sequence[Example]) -> tuple[list[DataProblem], list[DataProblem]]:
    """Return answers that say nothing, and those that may be a placeholder."""
    answers = [(e.line, a.strip()) for e in examples for a in e.answers]
    empty = sorted({line for line, answer in answers if not answer})
    tags = [(line, a) for line, a in answers if _NO_TEXT.fullmatch(a)]
    problems, fix = [], "write these answers, or remove the examples"
    if empty:
        problems.append(DataProblem("empty_answers", "the answer is empty", empty, fix))
    if tags:
        problems.append(DataProblem(
            "empty_answers", f"the answer is a placeholder, as in “{tags[0][1]}”",
            sorted({line for line, _ in tags}), fix,
        ))  # fmt: skip
    rejected = [e.line for e in examples if e.rejected == ""]
    remarks = [DataProblem(
        "empty_answers", "the rejected answer is empty", rejected, fix,
    )] if rejected else []  # fmt: skip
    texts = Counter(answer for _, answer in answers)
    fillers = [(line, a) for line, a in answers if a and _PLACEHOLDER.fullmatch(a)]
    if len(fillers) < 2 or len(texts) <= MAX_LABEL_FRACTION * len(answers):
        return problems, remarks
    named = ", ".join(
        f"“{a}” ({n} times)" for a, n in Counter(a for _, a in fillers).most_common(3)
    )
    return problems, [*remarks, DataProblem(
        "empty_answers", f"the same answer that says nothing: {named}",
        sorted({line for line, _ in fillers}), fix,
    )]  # fmt: skip


def damaged_characters(examples: Sequence[Example]) -> list[DataProblem]:
    """Return texts with characters of a wrong encoding, and with lost characters."""
    texts = [(e.line, t) for e in examples
             for t in (*(said for _, said in e.turns), e.text or "", e.rejected or "")]  # fmt: skip
    misread = [(line, sample) for line, text in texts if (sample := misread_sample(text))]
    lost = sorted({line for line, text in texts if "\ufffd" in text})
    problems = []
    if misread:
        wrong, right = misread[0][1]
        problems.append(DataProblem(
            "damaged_characters",
            f"UTF-8 that was read in another encoding, as in “{wrong}” for “{right}”",
            sorted({line for line, _ in misread}),
            "read the source again as UTF-8, or repair these texts, as with ftfy",
        ))  # fmt: skip
    if lost:
        problems.append(DataProblem(
            "damaged_characters", "characters were lost (\ufffd)", lost,
            "read the source again in its own encoding, or remove these examples",
        ))  # fmt: skip
    return problems


def _bytes_of_characters() -> dict[str, int]:
    """Return the byte of each character that Windows-1252 or Latin-1 has from 0x80 on."""
    table = {chr(b): b for b in range(0x80, 0x100)}
    for b in range(0x80, 0xA0):
        table[bytes([b]).decode("cp1252", errors="ignore") or chr(b)] = b
    return table


_BYTES = _bytes_of_characters()


def _of_bytes(first: int, last: int) -> str:
    return "[" + re.escape("".join(c for c, b in _BYTES.items() if first <= b <= last)) + "]"


_REST = _of_bytes(0x80, 0xBF)
_ENCODED = re.compile(
    f"(?:{_of_bytes(0xC2, 0xDF)}{_REST}|{_of_bytes(0xE0, 0xEF)}{_REST}{{2}}|"
    f"{_of_bytes(0xF0, 0xF4)}{_REST}{{3}})+"
)
"""UTF-8 of characters beyond ASCII, with each byte as a character."""


def misread_sample(text: str) -> tuple[str, str] | None:
    """Return a word that holds UTF-8 read as Windows-1252 or Latin-1, and what it was; None
    without one."""
    for match in _ENCODED.finditer(text):
        wrong = match.group()
        try:
            right = bytes(_BYTES[c] for c in wrong).decode()
        except UnicodeDecodeError:
            continue
        if _is_misread(wrong, right, text[: match.start()], text[match.end() :]):
            before = re.search(r"\S{0,20}$", text[: match.start()])
            after = re.match(r"\S{0,20}", text[match.end() :])
            assert before
            assert after
            return before[0] + wrong + after[0], before[0] + right + after[0]
    return None


def _is_misread(wrong: str, right: str, before: str, after: str) -> bool:
    """Return whether characters are those of UTF-8, and no capital letter beside a mark, as in
    “CAFÉ”."""
    if any(0x2000 <= ord(c) < 0x2800 or ord(c) >= 0x1F000 for c in right):
        return True  # quotes, dashes, symbols, emoji: three and four marks in a row
    if len(right) > 2 or (len(right) == 2 and not before[-1:].isupper()):
        return True
    if wrong[0] in "ÂÃ" and len(right) == 1:
        return not before[-1:].isupper() or after[:1].islower()
    return len(right) == 1 and before[-1:].islower() and after[:1].islower()
