"""Texts in the encodings that files have: each is read as what it is, a guess is shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from descend.data.corpus import read_documents, resolve_corpus
from descend.data.readers import read_file
from descend.data.readers.codepages import rank_code_pages
from descend.data.readers.options import ReadOptions
from descend.errors import ConfigError, CorpusError

SAMPLES = {
    "French": "L'été dernier, nous étions à la plage où les élèves jouaient. C'était très beau.",
    "Spanish": "El niño comió una manzana mañana. ¿Dónde está la habitación? Aquí está el corazón.",
    "German": "Die Straße führt über die Brücke. Grüße aus München, schöne Mädchen hören Übermut.",
    "Portuguese": "Não há coração que não sinta a emoção da manhã. As lições são difíceis, avó.",
    "Italian": "La città è più bella perché c'è il caffè. Così andò via, però tornerà lunedì.",
    "Swedish": "Åsa gick över ån för att köpa några äpplen på lördag. Räven är röd.",
    "Danish": "Æblet på træet er rødt. Når jeg går på gaden, får jeg øl.",
    "Finnish": "Hyvää päivää, tämä on sää jossa tyttö näkee järven äärellä.",
    "English": "He said, “I don’t know” – and she’d gone… to the café, naïve as ever.",
    "Polish": "Zażółć gęślą jaźń. Książka leżała na stole, a świeciło słońce w mieście Łódź.",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy. Řeka teče přes město, kde žije můj děda.",
    "Hungarian": "Árvíztűrő tükörfúrógép. A kisfiú az erdőbe ment, őzeket látott, örült. Később",
    "Turkish": "Türkiye'de güneşli bir gün. Çocuklar bahçede oynuyor, ağaçlar yeşil. Işık ılık",
    "Lithuanian": "Žmonės eina į mišką, kur auga ąžuolai, ėjo šįryt ūkininkas.",
    "Russian": "Однажды лиса пошла в лес. Там она встретила ворону, которая сидела на дереве. Ещё",
    "Ukrainian": "Якось лисиця пішла до лісу. Там вона зустріла ворону, що сиділа. Її їжа є ґрунт.",
    "Bulgarian": "Един ден лисицата отиде в гората. Там тя срещна гарвана, който седеше. Щъркел",
    "Greek": "Μια φορά κι έναν καιρό η αλεπού πήγε στο δάσος. Εκεί συνάντησε το κοράκι.",
    "Hebrew": "פעם אחת הלכה השועלה ליער. שם היא פגשה את העורב שישב על העץ.",
    "Arabic": "ذات يوم ذهب الثعلب إلى الغابة. هناك التقى بالغراب الذي كان يجلس على الشجرة.",
    "Japanese": "ある日、狐は森へ行きました。そこで木の上に座っているカラスに会いました。",
    "Korean": "어느 날 여우가 숲으로 갔습니다. 거기서 나무 위에 앉아 있는 까마귀를 만났습니다.",
    "Chinese": "有一天，狐狸去了森林里。在那里他看见了一只坐在树上的乌鸦，他说你好。",
    "Taiwanese": "有一天，狐狸去了森林裡。在那裡他看見了一隻坐在樹上的烏鴉，他說你好。",
    "Thai": "วันหนึ่งสุนัขจิ้งจอกไปที่ป่า ที่นั่นมันพบกับอีกาที่นั่งอยู่บนต้นไม้",
}
WESTERN = ("cp1252", "iso8859-15", "mac-roman", "cp850")
CODECS = {
    **dict.fromkeys(list(SAMPLES)[:9], WESTERN),
    **dict.fromkeys(("Polish", "Czech", "Hungarian"), ("cp1250", "iso8859-2", "cp852")),
    "Turkish": ("cp1254",), "Lithuanian": ("cp1257",), "Ukrainian": ("cp1251", "koi8-u"),
    "Russian": ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic"), "Bulgarian": ("cp1251",),
    "Greek": ("cp1253", "iso8859-7"), "Hebrew": ("cp1255",), "Arabic": ("cp1256",),
    "Japanese": ("cp932", "euc_jp"), "Korean": ("cp949",), "Chinese": ("gb18030",),
    "Taiwanese": ("big5hkscs",), "Thai": ("cp874",),
}  # fmt: skip
CASES = [(language, codec) for language, codecs in CODECS.items() for codec in codecs]


@pytest.mark.parametrize(("language", "codec"), CASES)
def test_each_language_is_read_in_its_code_pages(
    language: str, codec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for times in (1, 30):
        data = (SAMPLES[language] * times + "\n").encode(codec, "ignore")
        path = tmp_path / f"{times}.txt"
        path.write_bytes(data)
        assert "".join(d.text for d in read_file(path)) == data.decode(codec)
        beyond = next(c for c in SAMPLES[language] if c > "\x7f" and c.encode(codec, "ignore"))
        assert "read as" in caplog.messages[-1]
        assert beyond in caplog.messages[-1], "the line shown has a letter that tells"


def test_lines_of_two_encodings_are_each_read_as_theirs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new, old = SAMPLES["Polish"] + "\n", SAMPLES["Polish"].lower() + "\r\n"
    data = (new.encode() + old.encode("cp1250")) * 40 + b"plain\n" + "żółw".encode("cp1250")
    (tmp_path / "a.txt").write_bytes(data)
    lines = (new + old.replace("\r\n", "\n")) * 40
    assert "".join(d.text for d in read_file(tmp_path / "a.txt")) == lines + "plain\nżółw"
    assert "41 lines are not UTF-8 and 40 are" in caplog.text


@pytest.mark.parametrize("language", ["Spanish", "Russian", "Greek", "Arabic"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_known_by_its_pattern(
    language: str, codec: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_bytes((SAMPLES[language] * 20).encode(codec))
    assert "".join(d.text for d in read_file(tmp_path / "a.txt")) == SAMPLES[language] * 20
    assert f"no byte-order mark, read as {codec}" in caplog.text


def test_a_folder_decides_as_a_whole(tmp_path: Path) -> None:
    # Alone, a file with one accent could be anything: "õ" is "ő" in Hungary.
    words = ["erdő", "később", "idő", "ő", "nő", "eső", "főz", "tető", "hűs", "fű"]
    for number, word in enumerate(words):
        (tmp_path / f"{number}.txt").write_bytes(f"{word}\n".encode("cp1250"))
    (tmp_path / "z.txt").write_bytes((SAMPLES["Hungarian"] * 5).encode("cp1250"))
    texts = [d.text for d in read_documents(resolve_corpus(str(tmp_path)))]
    assert texts == [f"{word}\n" for word in words] + [SAMPLES["Hungarian"] * 5]
    # A file with strong evidence of its own is not made to follow.
    (tmp_path / "y.txt").write_bytes((SAMPLES["Russian"] * 5).encode("koi8-r"))
    assert SAMPLES["Russian"] * 5 in [d.text for d in read_documents(resolve_corpus(str(tmp_path)))]


def test_the_encoding_that_was_named_is_obeyed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("çok güzel, teşekkür".encode("cp1254"))
    source = resolve_corpus(str(path), options=ReadOptions(encoding="cp1254"))
    assert [d.text for d in read_documents(source)] == ["çok güzel, teşekkür"]
    assert not caplog.messages
    assert source.fingerprint != resolve_corpus(str(path)).fingerprint
    with pytest.raises(ConfigError, match="encoding"):
        resolve_corpus(str(path), options=ReadOptions(encoding="latin-99"))


def test_read_file_warns_when_valid_utf8_holds_mojibake(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text("obligación así también aquí está\n".encode().decode("cp1252"))
    with caplog.at_level(logging.WARNING, "descend"):
        list(read_file(tmp_path / "a.txt"))
    assert "decoded wrongly before" in caplog.text
    caplog.clear()
    (tmp_path / "b.txt").write_text("obligación así también aquí está, ÁÉÍ «Ã»\n", "utf-8")
    list(read_file(tmp_path / "b.txt"))
    assert not caplog.messages


def test_western_pages_are_preferred_where_evidence_is_thin() -> None:
    for word in ("café", "naïve", "señor", "Müller", "garçon", "£5", "voilà"):
        assert rank_code_pages(word.encode("cp1252")).best == "cp1252"


SENTENCES = {
    ("cp1250", "iso8859-2"): (
        "Gdzie jest najbliższa stacja? Proszę iść prosto, później w lewo.",
        "Nie wiem, co się stało z tą książką.",
        "Właściciel mieszkania żąda czynszu za trzy miesiące z góry.",
        "Včera jsem šel do obchodu a koupil chléb, máslo a čerstvá jablka.",
        "Kde je nejbližší nádraží? Jděte rovně a pak doleva.",
        "Kde je najbližšia stanica? Choďte rovno a potom doľava.",
        "Hol van a legközelebbi állomás? Menjen egyenesen, aztán balra. Később jövök.",
        "Unde este cea mai apropiată gară? Mergeţi drept înainte, apoi la stânga.",
        "Gdje je najbliža postaja? Idite ravno pa lijevo. Čekat ću vas.",
    ),
    ("cp1254", "iso8859-9"): (
        "Dün markete gittim ve ekmek, tereyağı ile taze elma aldım.",
        "Yardımınız için teşekkür ederim, yarın akşam sizi ararım.",
    ),
    ("cp1252", "mac-roman", "cp850"): (
        "L'estate scorsa il mare era così limpido. Là, più a sud, c'è l'Africa.",
        "O João não quis ir à praia porque estava a chover; ficou em casa com a avó.",
        "La población creció un 3 % según el último censo.",
        "Größere Änderungen wären nötig, heißt es in Köln.",
        "De coördinatie van het comité was uitstekend; één voor één kwamen ze binnen.",
    ),
    ("cp1252", "cp850"): ("Það var einu sinni kóngur og drottning í ríki sínu.",),
    ("cp1251", "koi8-u", "mac-cyrillic"): (
        "Вчора я ходив до крамниці й купив хліб, масло та свіжі яблука.",
    ),
    ("cp1253", "iso8859-7", "cp737"): (
        "Πού είναι ο πλησιέστερος σταθμός; Πηγαίνετε ευθεία και μετά αριστερά.",
        "Άνδρα μοι έννεπε, Μούσα, πολύτροπον",
    ),
    ("cp1256", "iso8859-6"): ("ذهبت أمس إلى المتجر واشتريت خبزا وزبدة وتفاحا طازجا.",),
    ("gb18030",): ("道可道，非常道。名可名，非常名。", "最近的车站在哪里？请一直走，然后向左转。"),
    ("big5hkscs",): (
        "道可道，非常道。名可名，非常名。",
        "最近的車站在哪裡？請一直走，然後向左轉。",
    ),
}
SINGLE = [(text, codec) for codecs, texts in SENTENCES.items() for text in texts
          for codec in codecs]  # fmt: skip


@pytest.mark.parametrize(("text", "codec"), SINGLE)
def test_rank_code_pages_reads_the_text_when_it_is_a_single_sentence(text: str, codec: str) -> None:
    data = text.encode(codec)
    best = rank_code_pages(data).best
    assert best is not None
    assert data.decode(best) == text


def test_bytes_that_look_like_utf16_without_a_mark_are_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "text.srt"
    # Found by fuzzing: charset-normalizer takes the lines that are not UTF-8 for UTF-16.
    path.write_bytes(
        b"1\n\xff\xfe\xff\xff\xff\xff\xff00:15:\xce\xa10\xd0\xd3000 -\xd1A\x86 00:00:02\xd0\xa500"
        b"\xff\xffo1ds\n\n1\xce\xa1\xfff\xff0:00\x17:01,00 0--> 00:,0:02,00\x00\x00000:01\n000:00:"
        b"\xce\nw\xa1"
    )
    with pytest.raises(CorpusError):
        list(read_file(path))


def test_encoding_that_is_named_wrongly_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("words and words\n" * 20)
    with pytest.raises(CorpusError, match="no utf-16"):
        list(read_file(path, options=ReadOptions(encoding="utf-16")))
