"""Messages that people exported from a messenger: `name: text`, without times, ids and notices.

JSON of Slack, Discord (DiscordChatExporter), Telegram, and Facebook's Messenger. Sources: the
exports' own documentation and public examples of each.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any

Message = tuple[str, str]
"""Who wrote it, empty where the export has an id only, and what."""

_TIME_KEYS = ("ts", "date", "timestamp", "timestamp_ms")
_MIN_MESSAGES_FRACTION = 0.8
_SPOKEN_SUBTYPES = (None, "bot_message", "me_message", "thread_broadcast", "file_share")
_NOTICES = frozenset({"service", "call", "userjoin", "guildmemberjoin", "recipientadd",
                      "recipientremove", "channelpinnedmessage", "channelnamechange"})  # fmt: skip
_SLACK_MARK = re.compile(r"<([@#!])?([^<>|\n]{1,2000})(?:\|([^<>\n]{0,500}))?>")
_URL_SCHEMES = ("http://", "https://", "mailto:", "tel:")


def messenger_turns(listed: list[Any]) -> list[Message] | None:
    """Return the messages of an export in order of time, notices left out; None if it is none."""
    messages = [item for item in listed if isinstance(item, dict) and _is_message(item)]
    if not messages or len(messages) < _MIN_MESSAGES_FRACTION * len(listed):
        return None
    times = [item.get("timestamp_ms") for item in messages]
    if all(isinstance(time, int | float) for time in times):  # Facebook has the newest first
        messages.sort(key=lambda item: float(item["timestamp_ms"]))
    return [(_writer(item), _text(item)) for item in messages if not _is_notice(item)]


def is_slack_message(record: object) -> bool:
    """Return whether a record is a message of Slack, whose files are lists of them."""
    return (
        isinstance(record, dict)
        and record.get("type") == "message"
        and isinstance(record.get("ts"), str)
        and isinstance(record.get("text"), str)
    )


def _is_message(item: Mapping[str, Any]) -> bool:
    has_time = any(key in item for key in _TIME_KEYS)
    has_writer = any(key in item for key in ("user", "username", "bot_id", "subtype", "from",
                                             "actor", "author", "sender_name"))  # fmt: skip
    return has_time and has_writer and "role" not in item


def _is_notice(item: Mapping[str, Any]) -> bool:
    kind = str(item.get("type", "")).lower()
    return kind in _NOTICES or item.get("subtype") not in _SPOKEN_SUBTYPES


def _writer(item: Mapping[str, Any]) -> str:
    profile, author = item.get("user_profile"), item.get("author")
    names: list[object] = []
    if isinstance(profile, dict):
        names += [profile.get("display_name"), profile.get("real_name")]
    if isinstance(author, dict):
        names += [author.get("nickname"), author.get("name")]
    names += [item.get("from"), item.get("sender_name"), item.get("username")]
    return next((name for name in names if isinstance(name, str) and name.strip()), "")


def _text(item: Mapping[str, Any]) -> str:
    said = item.get("text", item.get("content", ""))
    if isinstance(said, list):  # Telegram: texts, and texts with a style
        parts = [part.get("text", "") if isinstance(part, dict) else part for part in said]
        said = "".join(part for part in parts if isinstance(part, str))
    said = said if isinstance(said, str) else ""
    if is_slack_message(item):
        return html.unescape(_SLACK_MARK.sub(_of_slack, said)).strip()
    return _repaired(said) if "sender_name" in item else said


def _of_slack(mark: re.Match[str]) -> str:
    """Return the label of a mention or a link, or nothing: what else stands there is an id or an
    URL."""
    sign, target, label = mark.groups()
    if sign == "!" and not label:
        return f"@{target}" if target in ("here", "channel", "everyone") else ""
    return label or ("" if sign or target.startswith(_URL_SCHEMES) else mark[0])


def _repaired(text: str) -> str:
    """Facebook writes each byte of UTF-8 as a character of its own."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
