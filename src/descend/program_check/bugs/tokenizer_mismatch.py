"""The tokenizer belongs to another text or model.

What it is:
    The tokenizer gives ids that the network has no row for, or the batches were made with another
    tokenizer than the one that stands beside the model.

How it shows:
    An index error at the first rare token, or a model that trains well and writes nonsense.

Not to be confused:
    A vocabulary that was rounded up: rows that no token uses do no harm.

Proof:
    The size of the vocabulary against the rows of the network; ids of the batches, decoded, against
    the text that the program holds, or encoded again.

How to fix:
    Save the tokenizer with the model, and use the same one everywhere.

When it is not this:
    Decoding that does not give the text back letter by letter (lower case, marks of word pieces).

Source:
    diagnosis of UMLAUT (CHI 2021) for ranges of inputs; transformers, `resize_token_embeddings`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.batch_provenance import find_texts, first_batch_rows
from descend.program_check.probes.network import make_network_handle, vocabulary_of
from descend.program_check.probes.tokenizer_adapter import TokenizerAdapter, adapt_tokenizer
from descend.program_check.program import Program
from descend.program_check.results import (
    BugAbsent,
    BugPresent,
    CheckResult,
    Undetermined,
    UndeterminedError,
)

LONG_ENOUGH = 64
"""Tokens of a row that are decoded."""

MIN_MATCH_FRACTION = 0.2
"""Fraction of rows found in the text up to which the tokenizer is another one."""

MAX_LETTERS = 20_000

ANOTHER = 0.4
"""Total variation between the ids of batches and of the text, encoded, from which another
tokenizer made them: about 0.05 to 0.2 for parts of one text."""

SAME_AGAIN = 0.5
"""Fraction of ids that come back from decoding and encoding: at the edges a word may be cut."""

MIN_PIECE = 8
"""Tokens between fillers and marks from which a piece of a row is compared: a shorter one occurs in
any text."""

SPECIAL = 4
"""Ids beyond the tokenizer's that may be padding, beginning and end of a text."""


def look(program: Program) -> CheckResult:
    """Compare tokenizer, network and batches."""
    kit = adapt_tokenizer(program)
    where = program.source_location("tokenizer")
    rows_of_network = _rows(program)
    if kit.size is not None and rows_of_network is not None and kit.size > rows_of_network:
        return BugPresent(
            f"the tokenizer has {kit.size} tokens, the network rows for {rows_of_network}", where
        )
    if not program.has("batches"):
        return Undetermined("no batches to compare with the tokenizer")
    batches = program.run_probe_once(first_batch_rows)
    used = {int(i) for batch in batches for i in batch.unique()}  # type: ignore[no-untyped-call]
    beyond = [i for i in used if kit.size is not None and i >= kit.size]
    if len(beyond) > SPECIAL:
        return BugPresent(
            f"the batches hold {len(beyond)} ids up to {max(beyond)}, the tokenizer has {kit.size} "
            "tokens",
            where,
        )
    texts = find_texts(program)
    return _against_text(kit, batches, texts, where) or _again(kit, batches, where)


def _rows(program: Program) -> int | None:
    try:
        vocabulary = program.run_probe_once(make_network_handle).vocabulary
    except UndeterminedError:
        return vocabulary_of(program.model)
    return min(vocabulary, vocabulary_of(program.model) or vocabulary)


def _against_text(
    kit: TokenizerAdapter, batches: list[Any], texts: list[str], where: str
) -> CheckResult | None:
    """Return what the decoded batches say beside the texts; None where there is no text of
    theirs."""
    if not texts:
        return None
    joined = "\n".join(texts)
    own = Counter(kit.encode(joined[:MAX_LETTERS]))
    marks = _marks(batches, own)
    pieces = [_select_comparable_ids(row, marks) for batch in batches[:4] for row in batch[:8]]
    row_texts = [kit.decode(piece) for piece in pieces if piece]
    plain = "".join(joined.split()).lower()
    whole = [p for p in ("".join(row_text.split()).lower() for row_text in row_texts) if p]
    num_matches = sum(row_text in plain for row_text in whole)
    if whole and num_matches > MIN_MATCH_FRACTION * len(whole):
        return BugAbsent(f"{num_matches} of {len(whole)} decoded rows occur in the text")
    # Texts may be changed on the way (turned around, repeated), which keeps their frequencies.
    theirs = Counter(i for batch in batches for i in batch.flatten().tolist() if i not in marks)
    if whole and own and _apart(own, theirs) > ANOTHER:
        sample = row_texts[0][:30]
        return BugPresent(
            f"{num_matches} of {len(whole)} decoded rows occur in the text; one reads {sample!r}",
            where,
        )
    return None


def _marks(batches: list[Any], own: Counter[int]) -> set[int]:
    """Return ids that fill rows up, or that begin, part and end texts in most rows, though the text
    itself never holds them."""
    rows = [row.tolist() for batch in batches for row in batch]
    filled = Counter(row[edge] for row in rows for edge, next_ in ((0, 1), (-1, -2))
                     if len(row) > 1 and row[edge] == row[next_])  # fmt: skip
    marks = {i for i in filled if not own[i]}
    in_rows = Counter(i for row in rows for i in set(row) if not own[i])
    common = [i for i, number in in_rows.most_common(SPECIAL) if 2 * number >= len(rows)]
    return set(sorted(marks, key=lambda i: -filled[i])[:SPECIAL]) | set(common)


def _select_comparable_ids(row: Any, marks: set[int]) -> list[int]:
    """Return the longest run of a row without marks; empty if it is too short to compare."""
    best: list[int] = []
    piece: list[int] = []
    for token in row.tolist()[1:]:
        if token not in marks:
            piece.append(token)
        if token in marks or len(piece) == LONG_ENOUGH - 1:
            best = max(best, piece, key=len)
            piece = []
    best = max(best, piece, key=len)
    return best if not marks or len(best) >= MIN_PIECE else []


def _apart(one: Counter[int], other: Counter[int]) -> float:
    """Return the total variation of two distributions of ids: 0 if they are the same, 1 if they
    share none."""
    a, b = one.total(), other.total()
    return sum(abs(one[i] / a - other[i] / b) for i in one.keys() | other.keys()) / 2


def _again(kit: TokenizerAdapter, batches: list[Any], where: str) -> CheckResult:
    """Decode the batches and encode them again."""
    same = total = 0
    for batch in batches[:4]:
        for row in batch[:8]:
            ids = row[:LONG_ENOUGH].tolist()
            again = kit.encode(kit.decode(ids))
            remaining_ids = list(again)
            for token in ids:
                total += 1
                if token in remaining_ids:
                    remaining_ids.remove(token)
                    same += 1
    fraction = same / max(1, total)
    if fraction < SAME_AGAIN:
        return BugPresent(
            f"{fraction:.0%} of the batches' ids come back when decoded and encoded again", where
        )
    return BugAbsent(f"{fraction:.0%} of the batches' ids come back when decoded and encoded again")


BUG = Bug(
    name_of(__name__), look,
    "use one tokenizer for text, batches and model, and give the network a row for each token",
)  # fmt: skip
