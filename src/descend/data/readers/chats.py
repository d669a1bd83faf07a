"""Conversations in records: turns in order, each after a marker that says whose it is.

A turn is written as its role's marker (`<|user|>`), a newline, the text and a newline. Where a
corpus has such markers, the tokenizer that is trained on it has an id for each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from descend.data.readers.messengers import is_slack_message, messenger_turns

ROLES = ("system", "user", "assistant", "tool")
MARKERS: tuple[str, ...] = tuple(f"<|{role}|>" for role in ROLES)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] | trim }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""The same template for `apply_chat_template` of transformers."""

_ALIASES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "customer", "question", "client"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "ai", "agent", "answer",
                     "chatbot", "bing", "bard", "claude", "gemini"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "ipython", "function_call"), "tool"),
}  # fmt: skip
_ROLE_KEYS = ("role", "from", "speaker", "author", "sender", "name")
_CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "parts")
_CHAT_KEYS = (
    "messages", "conversations", "conversation", "turns", "dialog", "dialogue", "dialogs",
    "chat", "thread", "history", "items",
)  # fmt: skip
_SYSTEM_KEYS = ("system", "system_prompt", "system_message")
# What the user asks, what is added to it, and what is answered, the most usual names first.
_PAIRS = (
    (("instruction",), ("input", "context"), ("output", "response", "answer", "completion")),
    (("prompt",), ("input", "context"), ("completion", "response", "chosen", "answer", "output")),
    (("question", "query"), ("context", "input"), ("answer", "answers", "response", "output")),
    (("input",), ("context",), ("output", "response")),
    (("user", "human"), (), ("assistant", "gpt", "bot", "model")),
)
_CONVERSATION_IDS = (
    "conversation_id", "conv_id", "session_id", "thread_id", "chat_id", "dialog_id",
    "dialogue_id", "message_tree_id",
)  # fmt: skip
# A list of more turns without ids or system turns is taken for exchanges, not for one talk.
MAX_UNMARKED_TURNS = 32
_MAX_NESTED = 3
_MARKER = re.compile(rf"<\|({'|'.join(ROLES)})\|>")

Turn = tuple[str, str]
"""A role and what was said."""


def conversation_text(record: object) -> str | None:
    """Return the conversation in a record as text with markers; None if the record is none."""
    turns = conversation_turns(record)
    return None if turns is None else format_turns(turns)


def known_role(name: str) -> str:
    """Return the role of `ROLES` that a name stands for; the name itself where it is unknown."""
    return _ALIASES.get(name.strip().lower(), name)


def listed_messages(record: object) -> list[Any]:
    """Return the list of turns in a record, as it stands there; empty without one."""
    lists = [record] if isinstance(record, list) else []
    if isinstance(record, dict):
        lists = [record[key] for key in record if str(key).lower() in _CHAT_KEYS]
    return next((listed for listed in lists if isinstance(listed, list)), [])


def prompt_without_answer(record: object) -> list[Turn] | None:
    """Return a prompt, and an empty answer, of a record whose answer is there and empty."""
    keys = {str(k).lower(): v for k, v in record.items()} if isinstance(record, dict) else {}
    for prompt_keys, added_keys, answer_keys in _PAIRS:
        question = _question(keys, prompt_keys, added_keys)
        if question.strip() and any(key in keys and not _answer(keys[key]) for key in answer_keys):
            return [*_system(keys), ("user", question), ("assistant", "")]
    return None


def written_roles(record: object) -> list[str]:
    """Return the roles of a list of turns in a record, as they are spelled there."""
    return [
        next((turn[key] for key in _ROLE_KEYS if isinstance(turn.get(key), str)), "")
        for turn in listed_messages(record)
        if isinstance(turn, dict)
    ]


def format_turns(turns: Iterable[Turn]) -> str:
    """Return turns in the template; markers that stand in what was said lose their bars."""
    lines = []
    for role, said in turns:
        said = _MARKER.sub(r"<\1>", said).strip()
        if not said:
            continue
        known = _ALIASES.get(role.strip().lower())
        named = f"{role}: {said}\n" if role.strip() else f"{said}\n"
        lines.append(f"<|{known}|>\n{said}\n" if known else named)
    return "".join(lines)


def join_loose_turns(records: Iterable[object], name: str) -> Iterator[object]:
    """Yield the records, with turns that follow each other as records put together to lists.

    A change of the conversation's id or a system turn begins a new one. Of more than
    `MAX_UNMARKED_TURNS` without either, each exchange is one, and a warning says so.
    """
    turns: list[dict[str, Any]] = []
    unmarked = exchanges = False
    messages: list[object] = []
    for record in chain(records, (None,)):
        if is_slack_message(record):
            messages.append(record)
            continue
        if messages:
            yield messages
            messages = []
        if record is not None and _is_loose_turn(record):
            assert isinstance(record, dict)
            if turns and _begins(record, turns):
                yield turns
                turns, unmarked, exchanges = [], False, False
            marked = _role(record) == "system" or _conversation_id(record) is not None
            unmarked = unmarked or (not turns and not exchanges and not marked)
            turns.append(record)
            if unmarked and len(turns) > MAX_UNMARKED_TURNS and not exchanges:
                exchanges = True
                logging.getLogger("descend").warning(
                    "%s: over %d turns in a row that name no conversation, each exchange read as "
                    "a document", name, MAX_UNMARKED_TURNS,
                )  # fmt: skip
            if exchanges:
                *whole, turns = _exchanges(turns)
                yield from whole
            continue
        if turns:
            yield turns
            turns, unmarked, exchanges = [], False, False
        if record is not None:
            yield record


def _exchanges(turns: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return turns cut before each one of a user that follows an answer."""
    cut: list[list[dict[str, Any]]] = [[]]
    for turn in turns:
        if cut[-1] and _role(turn) == "user" and _role(cut[-1][-1]) != "user":
            cut.append([])
        cut[-1].append(turn)
    return cut


def _is_loose_turn(record: object) -> bool:
    """Return whether a record is a turn beyond doubt: a known role under `role` or `from`, and
    text."""
    if not isinstance(record, dict):
        return False
    role = record.get("role", record.get("from"))
    return (
        isinstance(role, str)
        and role.strip().lower() in _ALIASES
        and _content(record) is not None
        and not any(isinstance(record.get(key), list) for key in _CHAT_KEYS)
    )


def _begins(record: dict[str, Any], turns: list[dict[str, Any]]) -> bool:
    here, before = _conversation_id(record), _conversation_id(turns[-1])
    return here != before or (_role(record) == "system" and _role(turns[-1]) != "system")


def _conversation_id(record: Mapping[str, Any]) -> object:
    return next((record[key] for key in _CONVERSATION_IDS if key in record), None)


def _role(turn: Mapping[str, Any]) -> str:
    """Return the role of a turn as one of `ROLES`, or as it is written; empty where there is
    none."""
    for key in _ROLE_KEYS:
        role = turn.get(key)
        if isinstance(role, dict):  # as in what ChatGPT exports
            role = role.get("role")
        if isinstance(role, str) and role.strip():
            return _ALIASES.get(role.strip().lower(), role.strip())
    return ""


def _content(turn: Mapping[str, Any]) -> str | None:
    """Return what is said in a turn: text, or the texts among its parts; None if there is no such
    key."""
    for key in _CONTENT_KEYS:
        if key in turn:
            return _said(turn[key])
    return None


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next((_said(value[key]) for key in ("text", "parts", "content") if key in value), "")
    if isinstance(value, list):
        return "\n".join(filter(None, map(_said, value)))
    return ""


def conversation_turns(record: object, depth: int = 0) -> list[Turn] | None:
    """Return the turns of a record of any known shape; None if it has none."""
    if isinstance(record, list):
        return messenger_turns(record) or _listed_turns(record)
    if not isinstance(record, dict) or depth > _MAX_NESTED:
        return None
    keys = {str(key).lower(): value for key, value in record.items()}
    shapes: tuple[Callable[[Mapping[str, Any]], list[Turn] | None], ...] = (
        _chat, _export, _preference, _pair,
    )  # fmt: skip
    for shape in shapes:
        turns = shape(keys)
        if turns:
            return turns
    nested = (
        conversation_turns(value, depth + 1) for value in record.values() if isinstance(value, dict)
    )
    return next(filter(None, nested), None)


def _chat(keys: Mapping[str, Any]) -> list[Turn] | None:
    for key in _CHAT_KEYS:
        listed = keys.get(key)
        if not isinstance(listed, list) or not listed:
            continue
        turns = messenger_turns(listed) or _listed_turns(listed)
        if turns is None and key != "items" and all(isinstance(item, str) for item in listed):
            # Two who take turns, as in collections of dialogues.
            turns = [(("user", "assistant")[n % 2], said) for n, said in enumerate(listed)]
        if turns is not None:
            return [*_system(keys), *turns]
    return None


def _listed_turns(listed: list[Any]) -> list[Turn] | None:
    """Return a list of nothing but turns, or of pairs of them."""
    turns: list[Turn] = []
    for item in listed:
        if not isinstance(item, dict):
            return None
        content, role = _content(item), _role(item)
        if role and (content is not None or "tool_calls" in item):
            turns.append((role, content or ""))
            continue
        pair = _pair({str(key).lower(): value for key, value in item.items()})
        if pair is None:
            return None
        turns += pair
    return turns or None


def _system(keys: Mapping[str, Any]) -> list[Turn]:
    said = next((keys[key] for key in _SYSTEM_KEYS if isinstance(keys.get(key), str)), "")
    return [("system", said)] if said.strip() else []


def _export(keys: Mapping[str, Any]) -> list[Turn] | None:
    """ChatGPT's export: a tree of messages, of which the branch to the newest is taken."""
    tree = keys.get("mapping")
    if not isinstance(tree, dict):
        return None
    at = keys.get("current_node") or next(reversed(tree), None)
    turns: list[Turn] = []
    for _ in range(len(tree)):
        node = tree.get(at) if isinstance(at, str) else None
        if not isinstance(node, dict):
            break
        message = node.get("message")
        if isinstance(message, dict):
            turns.append((_role(message), _content(message) or ""))
        at = node.get("parent")
    return turns[::-1] or None


def _preference(keys: Mapping[str, Any]) -> list[Turn] | None:
    """Return the question and the answer that was preferred, as lists of turns."""
    chosen = keys.get("chosen", keys.get("completion"))
    turns = _listed_turns(chosen) if isinstance(chosen, list) else None
    if turns is None:
        return None
    prompt = keys.get("prompt")
    before = _listed_turns(prompt) if isinstance(prompt, list) else None
    if before is None:
        before = [("user", prompt)] if isinstance(prompt, str) and turns[0][0] != "user" else []
    return [*_system(keys), *(before if before != turns[: len(before)] else []), *turns]


def _pair(keys: Mapping[str, Any]) -> list[Turn] | None:
    for prompt_keys, added_keys, answer_keys in _PAIRS:
        question = _question(keys, prompt_keys, added_keys)
        answer = next((_answer(keys[key]) for key in answer_keys if _answer(keys.get(key))), "")
        if question and answer:
            return [*_system(keys), ("user", question), ("assistant", answer)]
    return None


def _question(
    keys: Mapping[str, Any], prompt_keys: tuple[str, ...], added_keys: tuple[str, ...]
) -> str:
    """Return a prompt with what is added to it; empty where there is no prompt."""
    prompt, added = (
        next((_said(keys[key]) for key in names if isinstance(keys.get(key), str)), "")
        for names in (prompt_keys, added_keys)
    )
    return "\n\n".join(filter(str.strip, (prompt, added))) if prompt else ""


def _answer(value: object) -> str:
    """Return an answer, or the first of several."""
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, list):
        value = next((item for item in value if item), None)
        return _answer(value) if isinstance(value, dict) else _answer(str(value or ""))
    return value if isinstance(value, str) else ""
