"""Text files of WhatsApp: `name: text`, without times, notices, and what stands for other things.

WhatsApp writes U+200E before what it adds itself, but not on every phone, and it translates what it
adds. So the mark is followed where it stands, and elsewhere the sentences of the languages that
public parsers of such files name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

_DIRECTION = "\u200e\u200f\u202a-\u202e\u2066-\u2069"
_MARKS = re.compile(f"[{_DIRECTION}]")
_MARK = f"[{_DIRECTION}\ufeff]*"
_HALF_DAY = r"[AaPp]\.?\s?[Mm]\.?|[صم]|上午|下午|午前|午後|오전|오후"
_DATE = r"\d{1,4}\u200f?[./-]\s?\d{1,2}\u200f?[./-]\s?\d{1,4}\.?[,،]?\s"
_TIME = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?"
_STAMP = (
    rf"{_MARK}\[?{_DATE}(?:klo\s|kl\.?\s|(?:{_HALF_DAY})\s?)?"
    rf"{_TIME}(?:\s?(?:{_HALF_DAY}))?(?:\]|\s[-–])\s?"
)
_STAMPED = re.compile(_STAMP)
_MESSAGE = re.compile(rf"{_STAMP}{_MARK}~?\s?([^:\n]{{1,60}}): (.*)", re.DOTALL)
_PHONE = re.compile(r"\+?[\d\s().\u2010-\u2015-]{7,}")
_HEAD_LINES, _MIN_STAMPED = 40, 0.5

_DELETED = """
    this message was deleted|you deleted this message|this message has been deleted
    diese nachricht wurde gelöscht|du hast diese nachricht gelöscht
    se eliminó este mensaje|eliminaste este mensaje|este mensaje fue eliminado
    ce message a été supprimé|vous avez supprimé ce message|tu as supprimé ce message
    mensagem apagada|esta mensagem foi apagada|essa mensagem foi apagada
    você apagou esta mensagem|apagou esta mensagem|apagaste esta mensagem
    questo messaggio è stato eliminato|hai eliminato questo messaggio
    dit bericht is verwijderd|je hebt dit bericht verwijderd|u hebt dit bericht verwijderd
    ta wiadomość została usunięta|usunięto tę wiadomość|wiadomość została usunięta
    данное сообщение удалено|это сообщение было удалено|вы удалили данное сообщение
    вы удалили это сообщение
    bu mesaj silindi|bu mesajı sildiniz
    pesan ini dihapus|pesan ini telah dihapus|anda telah menghapus pesan ini
    tin nhắn này đã bị xóa|ข้อความนี้ถูกลบแล้ว
    यह मैसेज डिलीट कर दिया गया है|यह मैसेज मिटाया गया|यह संदेश मिटाया गया|यह संदेश हटा दिया गया
    आपने यह संदेश हटा दिया
    یہ میسج حذف کر دیا گیا ہے|یہ پیغام حذف کیا گیا|یہ پیغام حذف کر دیا گیا
    تم حذف هذه الرسالة|لقد حذفت هذه الرسالة
    این پیام حذف شده است|این پیام حذف شد|پیام حذف شد
    הודעה זו נמחקה|מחקת הודעה זו
    这条消息已被删除|此消息已被删除|消息已删除|信息已删除|此訊息已刪除|這則訊息已被刪除|您刪除了這則訊息
    このメッセージは削除されました|삭제된 메시지입니다|이 메시지는 삭제되었습니다
"""
_EDITED = """
    this message was edited|message edited
    diese nachricht wurde bearbeitet|nachricht bearbeitet
    se editó este mensaje|este mensaje fue editado|mensaje editado
    ce message a été modifié
    mensagem editada|esta mensagem foi editada
    questo messaggio è stato modificato|messaggio modificato
    dit bericht is bewerkt
    ta wiadomość została zmieniona
    сообщение изменено|это сообщение изменено
    bu mesaj düzenlendi|redaktə edildi
    pesan ini diedit|ההודעה נערכה
"""
_ATTACHED = """
    file attached|lêer aangeheg|الملف مرفق|تم إرفاق ملف|fayl əlavə olunub|прикачен файл
    ফাইল সংযুক্ত হয়েছে|arxiu adjunt|soubor byl přiložen|fil vedhæftet|datei angehängt
    συνημμένο αρχείο|archivo adjuntado|archivo adjunto|fail lisatud|liitetiedosto|fichier joint
    pièce jointe|ફાઇલ જોડાયેલ|קובץ מצורף|फाइल अटैच कर दी गई है|datoteka u privitku|fájl csatolva
    file terlampir|file allegato|allegato|添付ファイル有り|қосымша файл|ಕಡತ ಸೇರಿಸಲಾಯಿತು|파일 첨부됨
    byla prisegta|pievienots fails|прикачен фајл|ഫയൽ ചേർത്തു|फाइल संलग्न|fail dilampirkan
    vedlagt fil|bestand bijgevoegd|ਫਾਈਲ ਅਟੈਚ ਕੀਤੀ|załączony plik|plik załączony
    ficheiro anexado|arquivo anexado|fișier atașat|файл добавлен|súbor pripojený
    priložena datoteka|skedë e ngjitur|прикачена датотека|bifogad fil|faili limeambatanishwa
    ఫైల్ జోడించబడినది|ไฟล์ที่แนบ|nakalakip na file|dosya ekli|файл додано|پیوستہ فائل
    fayl biriktirildi|tệp đính kèm|文件附件|附件檔案
"""


def _any_of(sentences: str) -> str:
    """Return a pattern of sentences that stand in lines and between bars."""
    rows = (row.strip() for row in sentences.strip().splitlines())
    return "|".join(re.escape(said.strip()) for row in rows for said in row.split("|"))


_DELETED_MESSAGE = re.compile(
    rf"(?:{_any_of(_DELETED)}|(?:this message was )?deleted by (?:an )?admin\b[^\n]{{0,60}})"
    r"[.。।۔]?",
    re.IGNORECASE,
)
_OMITTED = re.compile(
    r"<[^<>\n]{3,80}>|<[^<>\n:]{2,30}: ?[^<>\n]{1,255}>|"
    r"(?:[^\n]{1,255} • [^\n]{1,40}|(?:\S+ ){1,2})"
    r"(?:omitted|weggelassen|ausgeschlossen|omitid[oa]|omis|omess[oi]|weggelaten|pominięto|"
    r"dahil edilmedi|tidak disertakan)\W?",
    re.IGNORECASE,
)
_OWN_FILE = r"(?:IMG|VID|AUD|PTT|DOC|STK|GIF)-\d{8}-WA\d{4,}\.\w{2,5}(?: \([^()\n]{3,40}\))?"
_ATTACHMENT = re.compile(
    rf"{_OWN_FILE}|[^\n]{{1,255}}\.\w{{1,5}} \((?:{_any_of(_ATTACHED)})\)", re.IGNORECASE
)
_FILE_NAME = re.compile(
    r"[^\n/]{1,255}\.(?:jpe?g|png|webp|gif|mp4|3gp|mov|opus|m4a|mp3|aac|ogg|pdf|docx?|xlsx?|pptx?|"
    r"vcf|zip)",
    re.IGNORECASE,
)
_MARKED_END = re.compile(r"\s*\u200e<[^<>\n]{3,300}>\s*\Z")
_EDITED_END = re.compile(rf"\s*{_MARK}<(?:{_any_of(_EDITED)})[.。]?>\s*\Z", re.IGNORECASE)


def is_whatsapp(text: str) -> bool:
    """Return whether the beginning of a text is that of an exported chat of WhatsApp."""
    rows = [row for row in islice(text.splitlines(), _HEAD_LINES) if row.strip()]
    stamped = sum(_STAMPED.match(row) is not None for row in rows)
    spoken = sum(_MESSAGE.match(row) is not None for row in rows)
    return len(rows) > 2 and stamped >= _MIN_STAMPED * len(rows) and spoken >= stamped / 2


def whatsapp_text(rows: Iterable[str]) -> Iterator[str]:
    """Yield the messages of a chat whose lines, with their ends, are `rows`.

    The number of a contact without a name becomes `Person N`, counted in order of appearance.
    """
    message = ""
    persons: dict[str, str] = {}
    for row in chain(rows, (None,)):
        if row is not None and not _STAMPED.match(row):
            message += row if message else ""
            continue
        if message and (match := _MESSAGE.match(message)) is not None:
            name, said = _speaker(match[1], persons), _own_words(match[2])
            if said:
                yield f"{name}: {said}\n"
        message = row or ""


def _speaker(written: str, persons: dict[str, str]) -> str:
    """Return the name of who wrote a message, for a phone number one of their own."""
    name = _MARKS.sub("", written).strip()
    if not _PHONE.fullmatch(name):
        return name
    number = re.sub(r"\D", "", name)
    return persons.setdefault(number, f"Person {len(persons) + 1}")


def _own_words(message: str) -> str:
    """Return what somebody wrote in a message, without what WhatsApp added; empty if nothing."""
    message = message.strip()
    if message.startswith("\u200e") and "\n" not in message:
        return ""
    message = _EDITED_END.sub("", _MARKED_END.sub("", message))
    if _DELETED_MESSAGE.fullmatch(_MARKS.sub("", message).strip()):
        return ""
    first, _, rest = message.partition("\n")
    first = _MARKS.sub("", first).strip()
    if _OMITTED.fullmatch(first) and _FILE_NAME.fullmatch(rest.partition("\n")[0].strip()):
        return rest.partition("\n")[2].strip()
    if _OMITTED.fullmatch(first) or _ATTACHMENT.fullmatch(first):
        return rest.strip()
    return message
