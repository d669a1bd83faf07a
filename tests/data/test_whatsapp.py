"""Chats that WhatsApp exported become names and messages, in its languages and forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.config import make_config
from descend.data.prepare import prepare_documents
from descend.data.readers import read_file
from descend.data.readers.whatsapp import is_whatsapp, whatsapp_text


def texts_of(path: Path) -> list[str]:
    """The documents of a file."""
    return [document.text for document in read_file(path)]


def messages_of(*messages: str) -> str:
    """What is read of Mara's messages in a chat of Android's."""
    rows = [f"04.11.25, 07:{n:02} - Mara: {said}\n" for n, said in enumerate(messages)]
    return "".join(whatsapp_text([row for said in rows for row in said.splitlines(True)]))


WHATSAPP = {
    "android_german": (
        "03.07.23, 08:11 - Nachrichten sind Ende-zu-Ende-verschlüsselt.\n"
        "03.07.23, 08:12 - Ada: Das Tor\nist offen.\n"
        "03.07.23, 08:13 - +49 171 5550123: Danke!\n"
        "03.07.23, 08:14 - Ada: <Medien ausgeschlossen>\n"
    ),
    "iphone_english": (
        "[7/3/23, 8:11:02 AM] Garden: \u200eMessages are end-to-end encrypted.\n"
        "[7/3/23, 8:12:02 AM] Ada: Das Tor\nist offen.\n"
        "[7/3/23, 8:13:02 AM] +49 171 5550123: Danke!\n"
        "[7/3/23, 8:14:02 AM] Ada: \u200eimage omitted\n"
    ),
}


@pytest.mark.parametrize("kind", WHATSAPP)
def test_whatsapp_export_keeps_names_and_texts_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "WhatsApp Chat.txt"
    path.write_text(WHATSAPP[kind], encoding="utf-8")
    assert texts_of(path) == ["Ada: Das Tor\nist offen.\nPerson 1: Danke!\n"]


NUMBERS = ["+44 7700 900123", "\u202a+44\u00a07700\u202f900124\u202c", "+1 (555) 010\u20110199"]


def test_each_phone_number_is_a_person_of_its_own() -> None:
    rows = ["04.11.25, 07:00 - Mara: who has the key?\n"]
    rows += [f"04.11.25, 07:0{n} - {number}: not me\n" for n, number in enumerate(NUMBERS, 1)]
    rows += [f"04.11.25, 07:09 - {NUMBERS[1].replace(chr(0xA0), ' ')}: now I have it\n"]
    assert "".join(whatsapp_text(rows)) == (
        "Mara: who has the key?\nPerson 1: not me\nPerson 2: not me\nPerson 3: not me\n"
        "Person 2: now I have it\n"
    )


STAMPS = [
    "[4/11/25, 7:02:11\u202fPM] ", "\u200e[04/11/2025, 07:02:11] ",
    "4/11/25, 7:02\u202fp.\u00a0m. - ",
    "4.11.2025 klo 7.02 - ", "4. 11. 2025. 07:02 - ", "2025/11/4 下午7:02 - ", "4-11-2025 07:02 - ",
    "٤/١١/٢٠٢٥، ٧:٠٢ م - ",
]  # fmt: skip


@pytest.mark.parametrize("stamp", STAMPS)
def test_times_of_many_regions_are_left_out(stamp: str) -> None:
    rows = [f"{stamp}~\u202fJo: the boat is in\n"] * 4
    assert is_whatsapp("".join(rows))
    assert "".join(whatsapp_text(rows)) == "Jo: the boat is in\n" * 4


ADDED = [
    "This message was deleted", "Se eliminó este mensaje.", "Ce message a été supprimé",
    "Dit bericht is verwijderd", "Ta wiadomość została usunięta", "Данное сообщение удалено",
    "Bu mesaj silindi", "このメッセージは削除されました", "삭제된 메시지입니다.",
    "تم حذف هذه الرسالة",
    "This message was deleted by admin Ida.", "VID-20251104-WA0002.mp4 (kaynaklanan dosya)",
    "rooms.pdf (file attached)", "plan b.docx (bestand bijgevoegd)", "a.jpg (файл добавлен)",
    "\u200eIMG-20251104-WA0009.jpg (arquivo anexado)", "<Medya dahil edilmedi>",
    "\u200esticker omitted", "list.pdf • \u200e3 pages \u200edocument omitted",
    "\u200e<attached: 00000017-PHOTO-2025-11-04-07-02-11.jpg>",
    "\u200eMessages and calls are end-to-end encrypted. Only people in this chat can read, "
    "listen to, or share them.",
    "<Pominięto multimedia>\nrooms.pdf",
]  # fmt: skip


@pytest.mark.parametrize("said", ADDED)
def test_what_whatsapp_adds_is_no_message(said: str) -> None:
    assert messages_of("The key is with me.", said) == "Mara: The key is with me.\n"


EDITED = [
    "<This message was edited>", "\u200e<This message was edited>", "<Se editó este mensaje.>",
    "<Diese Nachricht wurde bearbeitet.>", "<Сообщение изменено>", "<Bu mesaj düzenlendi>",
    "\u200e<Besked redigeret i en anden form>",
]  # fmt: skip


@pytest.mark.parametrize("mark", EDITED)
def test_mark_of_an_edited_message_is_left_out(mark: str) -> None:
    assert messages_of(f"At nine,\nnot at eight {mark}") == "Mara: At nine,\nnot at eight\n"


def test_caption_of_an_attachment_stays() -> None:
    said = "IMG-20251104-WA0011.jpg (Datei angehängt)\nOur new roof"
    assert messages_of(said, "Roof, again \u200e<attached: 07-PHOTO.jpg>") == (
        "Mara: Our new roof\nMara: Roof, again\n"
    )


UNCHANGED = [
    "I think this message was deleted by mistake?", "see notes.pdf (the second page)",
    "the second verse was omitted", "a <b> c is no tag", "He said: This message was deleted. Why?",
    "call +44 7700 900123",
]  # fmt: skip


@pytest.mark.parametrize("said", UNCHANGED)
def test_message_about_such_things_stays(said: str) -> None:
    assert messages_of(said) == f"Mara: {said}\n"


def test_diary_with_dates_is_left_as_it_is(tmp_path: Path) -> None:
    text = "\n".join(f"0{n}.07.23, 08:1{n} - rain, and the wind from the west" for n in range(9))
    path = tmp_path / "diary.txt"
    path.write_text(text)
    assert texts_of(path) == [text]


def test_twelve_chats_of_whatsapp_give_two_warnings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12):
        text = WHATSAPP["iphone_english"] + f"[7/4/23, 8:11:02 AM] Ada: Tag {number}\n" * 9
        (tmp_path / f"chat_{number:02}.txt").write_text(text)
    for _ in range(2):  # the second time from the cache
        caplog.clear()
        prepare_documents(make_config({"corpus_dir": str(tmp_path)}), anew=True)
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 2
        assert said[0].startswith("chat_00.txt: a chat exported from WhatsApp")
        assert said[1].startswith("chat_01.txt, chat_02.txt, and 9 more: a chat exported from")
