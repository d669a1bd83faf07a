"""The lists that an export of Slack has beside its conversations: they name who speaks, by id."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from descend.data.readers.messengers import is_slack_message

USERS = "users.json"
_CONVERSATION_LISTS = ("channels.json", "groups.json", "dms.json", "mpims.json")
METADATA = frozenset((USERS, *_CONVERSATION_LISTS, "integration_logs.json", "org_users.json",
                      "canvases.json", "lists.json", "file_conversations.json",
                      "huddle_transcripts.json"))  # fmt: skip
"""What stands beside the folders of an export's conversations, and is no text."""
MAX_USERS_BYTES = 1 << 26
WARNING = "an export of Slack: users.json names who speaks, and is no text, as the lists beside it"

_ID = re.compile(r"[UW][A-Z0-9]{2,}")
_MENTION = re.compile(r"<@([UW][A-Z0-9]{2,})>")

UserNames = tuple[tuple[str, str], ...]
"""Pairs of id and name."""


def may_be_slack_export(names: Collection[str]) -> bool:
    """Return whether a folder with files of these names may be an export of Slack."""
    return USERS in names and any(name in names for name in _CONVERSATION_LISTS)


def parse_user_names(data: bytes) -> UserNames:
    """Return the names in a list of users; nothing if it is no such list."""
    try:
        users = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(users, list) or not all(map(_is_user, users)):
        return ()
    return tuple((user["id"], _name(user)) for user in users)


def read_user_names(paths: Iterable[Path]) -> UserNames:
    """Return the names in all lists of users at `paths` that can be read."""
    names: dict[str, str] = {}
    for path in paths:
        try:
            if path.stat().st_size <= MAX_USERS_BYTES:
                names |= dict(parse_user_names(path.read_bytes()))
        except OSError:
            continue
    return tuple(names.items())


def name_speaker(record: object, names: Mapping[str, str]) -> object:
    """Return a message of Slack with the names of those who speak and are spoken to; anything else
    as it is."""
    if not isinstance(record, dict) or not is_slack_message(record):
        return record
    said = _MENTION.sub(lambda mark: _labeled(mark, names), record["text"])
    # A name that the message has itself is that of its time.
    name = {} if "username" in record else {"username": names.get(str(record.get("user")), "")}
    return {**record, **name, "text": said}


def _labeled(mark: re.Match[str], names: Mapping[str, str]) -> str:
    name = re.sub(r"[<>|\n]", " ", names.get(mark[1], ""))
    return f"<@{mark[1]}|{name}>" if name.strip() else mark[0]


def _is_user(user: Any) -> bool:
    return (
        isinstance(user, dict)
        and isinstance(user.get("id"), str)
        and _ID.fullmatch(user["id"]) is not None
        and isinstance(user.get("name"), str)
    )


def _name(user: Mapping[str, Any]) -> str:
    profile = user.get("profile")
    own = profile if isinstance(profile, dict) else {}
    names = (own.get("display_name"), user.get("real_name"), own.get("real_name"), user["name"])
    return next((name for name in names if isinstance(name, str) and name.strip()), "")
