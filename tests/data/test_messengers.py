"""Exports of messengers become conversations of names and texts, without ids, times and notices."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from descend.data.corpus import read_documents, resolve_corpus
from descend.data.corpus_builder import build_corpus
from descend.data.readers import read_file
from descend.data.readers.slack_export import WARNING


def texts_of(path: Path) -> list[str]:
    """The documents of a file."""
    return [document.text for document in read_file(path)]


def slack(text: str, user: str = "U01ABCDEF", **more: Any) -> dict[str, Any]:
    """A message of Slack, whose text stands in its blocks again."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"client_msg_id": "bc3fca71-2816-4d66-a129-2004e5117760", "type": "message",
            "user": user, "text": text, "ts": "1684130937.000000", "team": "T01TEAMXX",
            "blocks": [{"type": "rich_text", "block_id": "e7d74", "elements": [section]}],
            **more}  # fmt: skip


def test_slack_day_is_one_document_without_ids(tmp_path: Path) -> None:
    path = tmp_path / "2024-01-02.json"
    messages = [
        slack("<@U01ABCDEF> has joined the channel", subtype="channel_join"),
        slack("Bring tea &amp; cake", user_profile={"real_name": "Mira Holt"}),
        slack("<@U02BCDEFG> see <https://wiki.example/p/17|the page> or <https://x.example/9>"),
    ]
    path.write_text(json.dumps(messages))
    assert texts_of(path) == ["Mira Holt: Bring tea & cake\nsee the page or\n"]


def test_ids_beside_names_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "channels.json"
    path.write_text(json.dumps([{"name": "general", "members": ["U02AB3CD4", "U03ZZ9QWE"]}]))
    assert texts_of(path) == ["general"]


USERS = [
    {"id": "U07MIRA00", "name": "mholt", "real_name": "Mira Holt", "profile": {"title": "Cook",
     "email": "mira@tea.example", "display_name": ""}},
    {"id": "W08OLE", "name": "ole", "profile": {"display_name": "Ole B."}},
]  # fmt: skip


def slack_export(folder: Path) -> Path:
    """An export of Slack: a folder for each channel, and lists beside them."""
    (folder / "kitchen").mkdir(parents=True)
    channel = {"id": "C1", "name": "kitchen", "purpose": {"value": "All on tea"}}
    robots = [{"service_type": "a robot that posts"}]
    lists = {"users": USERS, "integration_logs": robots, "channels": [channel]}
    for name, listed in lists.items():
        (folder / f"{name}.json").write_text(json.dumps(listed))
    days = {
        "2023-05-01": [slack("Is there tea, <@W08OLE>?", "U07MIRA00"), slack("Yes", "W08OLE")],
        "2023-05-02": [slack("Good", "U07MIRA00"), slack("<@U09GONE> knows", "U09GONE")],
    }
    for day, messages in days.items():
        (folder / "kitchen" / f"{day}.json").write_text(json.dumps(messages))
    return folder


@pytest.mark.parametrize("is_zipped", [False, True])
def test_slack_export_names_who_speaks_and_its_lists_are_no_text(
    is_zipped: bool, tmp_path: Path
) -> None:
    source = slack_export(tmp_path / "export")
    if is_zipped:
        source = Path(shutil.make_archive(str(tmp_path / "team"), "zip", source))
    texts = [document.text for document in read_documents(resolve_corpus(str(source)))]
    assert texts == ["Mira Holt: Is there tea, Ole B.?\nOle B.: Yes\n", "Mira Holt: Good\nknows\n"]


def test_gathered_slack_export_names_who_speaks(tmp_path: Path) -> None:
    done = build_corpus(slack_export(tmp_path / "export"), tmp_path / "gathered")
    assert done.documents == 2
    assert "Ole B.: Yes" in done.path.read_text()


def test_new_names_in_a_slack_export_change_its_fingerprint(tmp_path: Path) -> None:
    folder = slack_export(tmp_path / "export")
    before = resolve_corpus(str(folder))
    assert before.warnings == (f"{folder}: {WARNING}",)
    (folder / "users.json").write_text(json.dumps([{**USERS[1], "name": "b"}]))
    assert resolve_corpus(str(folder)).fingerprint != before.fingerprint


def test_other_users_and_channels_stay_text(tmp_path: Path) -> None:
    tmp_path.joinpath("users.json").write_text(json.dumps([{"name": "Ole", "story": "He sang."}]))
    tmp_path.joinpath("channels.json").write_text(json.dumps([{"story": "A river runs."}]))
    texts = {document.text for document in read_documents(resolve_corpus(str(tmp_path)))}
    assert texts == {"He sang.", "A river runs."}


EXPORTS: dict[str, dict[str, Any]] = {
    "telegram": {
        "name": "Garden", "type": "private_group", "id": 4711, "messages": [
            {"id": 1, "type": "service", "date": "2024-01-01T10:00:00", "actor": "Ada",
             "actor_id": "user1", "action": "create_group", "text": ""},
            {"id": 2, "type": "message", "date": "2024-01-01T10:01:00", "from": "Ada",
             "from_id": "user1", "text": ["The ", {"type": "bold", "text": "red"}, " gate"]},
            {"id": 3, "type": "message", "date": "2024-01-01T10:02:00", "from": "Ben",
             "from_id": "user2", "text": "is open."}]},
    "discord": {
        "guild": {"id": "1", "name": "G"}, "channel": {"id": "2", "name": "c"}, "messages": [
            {"id": "7", "type": "Default", "timestamp": "2024-01-01T10:01:00",
             "content": "The red gate", "author": {"id": "5", "name": "Ada", "nickname": "Ada"}},
            {"id": "8", "type": "Reply", "timestamp": "2024-01-01T10:02:00",
             "content": "is open.", "author": {"id": "6", "name": "Ben"}}]},
    "facebook": {
        "participants": [{"name": "Ada"}, {"name": "Ben"}], "messages": [
            {"sender_name": "Ben", "timestamp_ms": 1700000002000, "content": "is open."},
            {"sender_name": "Ada", "timestamp_ms": 1700000001000, "content": "The red gate"}]},
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPORTS)
def test_chat_export_is_one_document_with_names(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(EXPORTS[kind]))
    assert texts_of(path) == ["Ada: The red gate\nBen: is open.\n"]


def test_facebook_accents_are_whole(tmp_path: Path) -> None:
    text = "Käse für Zoë".encode().decode("latin-1")
    message = {"sender_name": "Ada", "timestamp_ms": 1, "content": text}
    path = tmp_path / "message_1.json"
    path.write_text(json.dumps({"participants": [], "messages": [message]}))
    assert texts_of(path) == ["Ada: Käse für Zoë\n"]


def test_turns_with_times_stay_a_chat(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi", "timestamp": 1},
             {"role": "assistant", "content": "Hello", "timestamp": 2}]  # fmt: skip
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({"messages": turns}))
    assert texts_of(path) == ["<|user|>\nHi\n<|assistant|>\nHello\n"]
