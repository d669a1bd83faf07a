"""The examples of a file for fine-tuning: conversations, texts, or token ids with labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from descend.data.readers.chats import (
    Turn,
    conversation_turns,
    listed_messages,
    prompt_without_answer,
    written_roles,
)
from descend.data_check.marked_text import marked_turns
from descend.errors import CorpusError

TEXT_KEYS = ("text", "content", "document")
PER_TOKEN_KEYS = ("labels", "attention_mask", "token_type_ids", "position_ids", "loss_mask",
                  "assistant_masks", "completion_mask", "special_tokens_mask")  # fmt: skip
RATING_KEYS = ("label", "score", "reward", "rating", "rank")
LABEL_KEYS = ("label", "labels", "class", "target", "intent", "sentiment")
"""Names of what a classifier is to say of a text."""
MAX_FILE_BYTES = 2**31


@dataclass(frozen=True)
class Example:
    """One example; of `turns`, `text` and `input_ids` at least one is there."""

    line: int
    turns: tuple[Turn, ...] = ()
    roles: tuple[str, ...] = ()
    """The roles as they are spelled in the file; empty for pairs of prompt and answer."""
    text: str | None = None
    input_ids: tuple[int, ...] | None = None
    labels: tuple[int, ...] | None = None
    misfits: tuple[tuple[str, int], ...] = ()
    """Lists with a value for each token that have another length than `input_ids`, with it."""

    rejected: str | None = None
    """What a preference pair rejects; `turns` or `text` is what it prefers."""
    is_tie: bool = False
    """Whether what a preference pair prefers is what it rejects."""
    is_rated: bool = False
    """Whether the answer has a number or yes and no beside it that says how good it is."""
    label: str | int | None = None
    """What a classifier is to say of the text, or whether the answer is a good one (KTO)."""

    @cached_property
    def conversation(self) -> tuple[Turn, ...]:
        """The turns, also those that markers of a template begin in a text."""
        return self.turns or marked_turns(self.text or "")

    @property
    def answers(self) -> list[str]:
        """What the assistant says."""
        return [said for role, said in self.conversation if role == "assistant"]


@dataclass(frozen=True)
class ExampleFile:
    """The examples of a file and the lines that are none."""

    path: Path
    examples: tuple[Example, ...]
    unreadable: tuple[tuple[int, str], ...]
    """Line and reason."""
    number: Literal["line", "example"] = "line"
    """What a number counts: a line, or an `example` of a JSON list."""


def read_examples(path: Path) -> ExampleFile:
    """Read a JSON Lines file, or a JSON file with a list; `CorpusError` if it is neither."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CorpusError(
                str(path), f"{path.stat().st_size:,} bytes", f"at most {MAX_FILE_BYTES:,} bytes",
                "split the file",
            )  # fmt: skip
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
        raise CorpusError(
            str(path), f"a file that cannot be read ({reason})", "a JSON or JSON Lines file",
            "check the path, or save the file as UTF-8",
        ) from None  # fmt: skip
    examples: list[Example] = []
    unreadable: list[tuple[int, str]] = []
    whole = _listed_records(content)
    for line, record, reason in _records(content) if whole is None else whole:
        example = None if reason else _example(line, record)
        if example is None:
            unreadable.append(
                (line, reason or "no messages, prompt and answer, text, or input_ids")
            )
        else:
            examples.append(example)
    return ExampleFile(
        path, tuple(examples), tuple(unreadable), "line" if whole is None else "example"
    )


def _listed_records(content: str) -> list[tuple[int, Any, str]] | None:
    """Return the elements of a JSON list with their numbers; None if the file is none."""
    if not content.lstrip().startswith("["):
        return None
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return [(n, record, "") for n, record in enumerate(whole, 1)]


def _records(content: str) -> list[tuple[int, Any, str]]:
    """Return the line, record, and why there is none."""
    records: list[tuple[int, Any, str]] = []
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append((number, json.loads(line), ""))
        except ValueError as problem:
            records.append((number, None, str(problem).split(":")[0]))
        except RecursionError:
            records.append((number, None, "nested too deeply"))
    return records


def _example(line: int, record: Any) -> Example | None:
    if not isinstance(record, dict | list):
        return None
    fields = record if isinstance(record, dict) else {}
    ids, labels = _numbers(fields.get("input_ids")), _numbers(fields.get("labels"))
    turns = conversation_turns(record)
    text = next((fields[key] for key in TEXT_KEYS if isinstance(fields.get(key), str)), None)
    chosen, rejected = _preference(fields)
    if turns is None and text is None and ids is None:
        turns = prompt_without_answer(record)
        if turns is None and not chosen:
            return None
        text = None if turns or not chosen else chosen[-1][1]
    roles = written_roles(record)
    misfits = tuple(
        (key, len(fields[key])) for key in PER_TOKEN_KEYS
        if ids and isinstance(fields.get(key), list) and len(fields[key]) != len(ids)
    )  # fmt: skip
    return Example(
        line, _with_tool_calls(record, tuple(turns or ())), tuple(roles),
        None if turns else text, ids, labels, misfits, rejected[-1][1] if rejected else None,
        bool(rejected) and rejected == chosen,
        any(isinstance(fields.get(key), bool | int | float) for key in RATING_KEYS),
        _label(fields, has_answer=bool(turns)),
    )  # fmt: skip


def _label(fields: dict[str, Any], *, has_answer: bool) -> str | int | None:
    """Return the label of a text, or the yes or no of an answer; scores are neither."""
    if has_answer:
        value = fields.get("label")
        return value if isinstance(value, bool) or value in (0, 1) else None
    values = (fields.get(key) for key in LABEL_KEYS)
    return next((v for v in values if isinstance(v, str | int) and v != ""), None)


def _preference(fields: dict[str, Any]) -> tuple[list[Turn], list[Turn]]:
    """Return the turns that a preference pair prefers, and those that it rejects; both are empty
    for any other record."""
    keys = {str(key).lower(): value for key, value in fields.items()}
    if "chosen" not in keys or "rejected" not in keys:
        return [], []
    return _preferred_turns(keys["chosen"]), _preferred_turns(keys["rejected"])


def _preferred_turns(value: Any) -> list[Turn]:
    if isinstance(value, str):
        return [("assistant", value.strip())]
    listed = [value] if isinstance(value, dict) else value
    turns = conversation_turns(listed) if isinstance(listed, list) else None
    return [(role, said.strip()) for role, said in turns or ()]


def _with_tool_calls(record: Any, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return the turns, each with the calls of tools that it makes: a call is an answer too."""
    messages = listed_messages(record)
    system = turns[: len(turns) - len(messages)]  # from a key beside the list
    if not messages or len(system) + len(messages) != len(turns):
        return turns
    calling: list[Turn] = list(system)
    for message, (role, said) in zip(messages, turns[len(system) :], strict=True):
        fields = message if isinstance(message, dict) else {}
        calls = [fields[key] for key in ("tool_calls", "function_call") if fields.get(key)]
        written = [json.dumps(call, ensure_ascii=False, default=str) for call in calls]
        calling.append((role, "\n".join(filter(None, [said, *written]))))
    return tuple(calling)


def _numbers(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return tuple(value)
    return None
