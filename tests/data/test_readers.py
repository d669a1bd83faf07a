"""Each format gives the text that was put into it; broken files give one sentence."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from descend.data.corpus import read_documents, resolve_corpus
from descend.data.document import Document
from descend.data.readers import SUFFIXES, charset, read_file
from descend.data.readers.chunking import CHUNK_CHARS, split_into_chunks
from descend.errors import CorpusError

STORY = "Once upon a time there was a fox.\r\nIt said “hello”, naïvely.\n\nÜber 東京 🦊.\n"


def unix(text: str) -> str:
    """The text with the newlines that a reader gives."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def texts(path: Path) -> list[str]:
    """The documents of a file with their parts joined."""
    whole: list[str] = []
    for document in read_file(path):
        if document.part_index == 0:
            whole.append("")
        whole[-1] += document.text
    return whole


def refusal(path: Path) -> CorpusError:
    with pytest.raises(CorpusError) as caught:
        list(read_file(path, name="the file"))
    error = caught.value
    assert error.location.startswith("the file")
    assert all((error.location, error.actual, error.expected, error.fix))
    assert "\n" not in str(error)
    return error


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("suffix", [".txt", ".md", ".rst", ".py", ".tex", ".log", ".unknown", ""])
def test_plain_text_comes_back_unchanged_but_for_newlines(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"story{suffix}", STORY)
    assert list(read_file(path, name="a story")) == [Document(unix(STORY), "a story", 0)]


@given(text=st.text(st.sampled_from("ab\r\n"), min_size=1))
def test_newlines_are_those_of_python(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write(tmp_path_factory.mktemp("newlines") / "a.txt", text)
    assert "".join(texts(path)) == path.read_text()


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"]
)
def test_charset_detection_decodes_and_strips_byte_order_mark(tmp_path: Path, codec: str) -> None:
    chinese = "我们今天去公园散步，天气非常好，大家都很高兴。\r\n" * 3
    story = chinese if codec == "gb18030" else STORY
    assert texts(write(tmp_path / "story.txt", story.encode(codec))) == [unix(story)]


def test_western_text_decodes_as_windows_1252(tmp_path: Path) -> None:
    story = "Le café est très bon, “à bientôt” !\r\n" * 3
    assert texts(write(tmp_path / "story.txt", story.encode("cp1252"))) == [unix(story)]


def test_late_invalid_utf8_byte_changes_whole_file_charset(tmp_path: Path) -> None:
    story = "Plain English for a while.\n" * 100_000 + "Au café, très tôt, l’été.\n"
    assert texts(write(tmp_path / "story.txt", story.encode("cp1252"))) == [story]


def test_single_invalid_byte_does_not_change_utf8_charset(tmp_path: Path) -> None:
    data = "Привет, как дела? Всё хорошо.\n".encode() * 50
    path = write(tmp_path / "story.txt", data[:100] + b"\xff" + data[100:])
    assert texts(path)[0].replace("\ufffd", "") == data.decode()


@pytest.mark.parametrize("data", [bytes(range(256)) * 8, b"\x00\x01\x02\x03" * 500])
def test_binary_data_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "binary" in refusal(write(tmp_path / "picture.txt", data)).actual


def test_text_of_lost_characters_is_no_binary_data(tmp_path: Path) -> None:
    story = "the\ufffd\ufffdbird has\ufffd\ufffda red\ufffd\ufffdcrown\n" * 50
    problem = refusal(write(tmp_path / "captions.txt", story))
    assert "21% of the characters are U+FFFD" in problem.actual
    assert "encoding" in problem.fix


@given(text=st.text(), size=st.integers(1, 7))
@example(text="\r\r\n\r", size=1)
def test_decode_inverts_encode_for_any_buffer_size(text: str, size: int) -> None:
    text = "It is known. " * 40 + text  # so that no random text looks like binary junk
    data = text.encode()
    pieces = list(
        charset.decode_blocks(lambda: (data[i : i + size] for i in range(0, len(data), size)), "it")
    )
    assert "".join(pieces) == text
    # A piece may end with the first of two `\r`.
    assert not any(a.endswith("\r") and b.startswith("\n") for a, b in pairwise(pieces))


@given(st.lists(st.sampled_from(["a" * 400_000, "b\r\n", "\n", "c\r", "\nd", "é" * 900_000])))
def test_chunks_rejoin_without_splitting_line_endings(pieces: list[str]) -> None:
    cut = list(split_into_chunks(iter(pieces)))
    assert "".join(cut) == "".join(pieces)
    assert all(0 < len(part) <= CHUNK_CHARS for part in cut)
    assert not any(a[-1] == "\r" and b[0] == "\n" for a, b in pairwise(cut))


def test_large_file_is_chunked_at_line_boundaries(tmp_path: Path) -> None:
    story = "".join(f"{i}: the fox – again\r\n" for i in range(120_000))
    documents = list(read_file(write(tmp_path / "story.txt", story)))
    assert len(documents) > 2
    assert [document.part_index for document in documents] == list(range(len(documents)))
    assert "".join(document.text for document in documents) == unix(story)
    assert all(document.text.endswith("\n") for document in documents)


@pytest.mark.parametrize("inner", [".txt", ".jsonl", ".html", ""])
def test_compressed_text_is_the_text(tmp_path: Path, inner: str) -> None:
    plain = {".jsonl": json.dumps(STORY), ".html": "<p>fox</p>"}.get(inner, STORY).encode()
    expected_texts = texts(write(tmp_path / f"a{inner}", plain))
    two_members = gzip.compress(plain[:20]) + gzip.compress(plain[20:])
    assert texts(write(tmp_path / f"b{inner}.gz", two_members)) == expected_texts
    pack = zstandard.ZstdCompressor().compress
    assert (
        texts(write(tmp_path / f"c{inner}.zst", pack(plain[:20]) + pack(plain[20:])))
        == expected_texts
    )


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_off_compressed_file_is_refused(tmp_path: Path, suffix: str) -> None:
    packed = (gzip.compress if suffix == ".gz" else zstandard.compress)(STORY.encode() * 99)
    path = write(tmp_path / f"story.txt{suffix}", packed[:-9])
    assert "damaged" in refusal(path).actual
    assert "damaged" in refusal(write(path, b"no archive at all, just text")).actual


def test_reader_rejects_missing_and_compressed_binary_files(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.txt").actual
    assert "unpack" in refusal(write(tmp_path / "a.pdf.gz", b"")).fix


def test_json_reader_yields_one_document_per_record(tmp_path: Path) -> None:
    records = [{"id": "x", "text": "one"}, "two", {"Title": "three", "n": 3, "more": ["four"]}]
    expected_texts = ["one", "two", "three\nfour"]
    lines = "\n".join(map(json.dumps, records)) + "\n\n"
    assert texts(write(tmp_path / "a.jsonl", lines)) == expected_texts
    assert texts(write(tmp_path / "a.json", json.dumps(records, indent=2))) == expected_texts
    assert texts(write(tmp_path / "b.json", lines)) == expected_texts
    assert texts(write(tmp_path / "c.json", json.dumps({"data": records}))) == expected_texts
    assert [d.source for d in read_file(tmp_path / "a.jsonl", name="a")] == ["a:1", "a:2", "a:3"]


@given(st.lists(st.text(min_size=1), min_size=1), st.sampled_from([None, 1]))
def test_json_reader_is_independent_of_indentation(
    tmp_path_factory: pytest.TempPathFactory, records: list[str], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    with_junk = [f"It is known that {record}" for record in records]
    path.write_text(json.dumps(with_junk, indent=indent, ensure_ascii=True), "utf-8")
    assert texts(path) == list(map(unix, with_junk))


def test_a_large_json_list_streams(tmp_path: Path) -> None:
    records = [{"text": f"{i} " + 'fox, [jumped] {over} \\ "it" ' * 300} for i in range(400)]
    path = write(tmp_path / "a.json", json.dumps(records))
    assert path.stat().st_size > 3_000_000
    assert texts(path) == [record["text"] for record in records]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", '{"text": "one"}\n{"text": \n'),
        ("a.json", '[{"text": "one"}, {"text" "two"}]'),
        ("a.json", '[{"text": "one"}, {"text": "tw'),
        ("a.json", "[" * 100_000),
        ("a.jsonl", '{"a": ' * 100_000),
    ],
)
def test_json_reader_locates_syntax_error(tmp_path: Path, name: str, data: str) -> None:
    error = refusal(write(tmp_path / name, data))
    assert "JSON" in error.actual
    assert "line" in error.location or name == "a.json"


def test_csv_reader_selects_the_text_column(tmp_path: Path) -> None:
    rows = 'id;text;label\n1;"One; ""fox"".\nTwo lines.";good\n2;Another.;bad\n'
    assert texts(write(tmp_path / "a.csv", rows)) == ['One; "fox".\nTwo lines.', "Another."]
    by_length = "n\tsummary\tlabel\n" + "".join(
        f"{i}\tThe {i}th fox said hello to the crow.\tgood\n" for i in range(3)
    )
    expected_texts = [f"The {i}th fox said hello to the crow." for i in range(3)]
    assert texts(write(tmp_path / "a.tsv", by_length)) == expected_texts
    assert texts(write(tmp_path / "b.csv", "The fox, the crow.\nNothing more.\n")) != []
    assert "numbers" in refusal(write(tmp_path / "c.csv", "1,2\n3,4\n")).actual


MEASUREMENTS = {
    "titles_with_dots.csv": ["rate_0.1,rate_0.5", *(f"{n}.5,{n}.25" for n in range(9))],
    "scientific.tsv": ["step\tgradient", *(f"{n}\t{n + 1}.5e-05" for n in range(9))],
    "missing.csv": ["a/b;c/d", *(f"{n};{'nan' if n % 3 else n}" for n in range(9))],
    "labels.csv": ["epoch,split,loss", *(f"{n},{'ab'[n % 2]},{n}.5" for n in range(40))],
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_tables_of_measurements_are_no_text(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = write(tmp_path / name, "\n".join(MEASUREMENTS[name]) + "\n")
    assert "numbers" in refusal(table).actual
    write(tmp_path / "tale.txt", "The fox saw the crow.\n")
    documents = list(read_documents(resolve_corpus(str(tmp_path))))
    assert [document.text for document in documents] == ["The fox saw the crow.\n"]
    assert f"skipped {name}" in caplog.text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["word,count", *(f"fox{n},{n}" for n in range(30))], [f"fox{n}" for n in range(30)]),
        (["yes", "no"] * 20, ["yes", "no"] * 20),
        (["7,The fox", "8,The crow"], ["The fox", "The crow"]),
    ],
)
def test_short_texts_in_tables_stay(rows: list[str], expected: list[str], tmp_path: Path) -> None:
    assert texts(write(tmp_path / "a.csv", "\n".join(rows) + "\n")) == expected


def test_html_gives_words_without_scripts_and_menus(tmp_path: Path) -> None:
    page = (
        "<!doctype html><title>T</title><style>p {}</style><nav>Home</nav>"
        "<h1>The &amp;\n  Fox</h1><p>One <b>bold</b>ly <br>two.</p><script>x()</script>"
        "<pre>def f():\n    pass</pre><ul><li>a<li>b</ul><table><tr><td>1<td>2</table>"
        "<footer>imprint</footer>"
    )
    page = page.replace("<li>b</ul>", "<li>b</ul><p>c<br><br>d")
    expected_text = "The & Fox\n\nOne boldly\ntwo.\n\ndef f():\n    pass\n\na\nb\n\nc\n\nd\n\n1 2\n"
    assert texts(write(tmp_path / "a.html", page)) == [expected_text]
    latin = '<meta charset="iso-8859-2"><p>Příliš žluťoučký kůň úpěl ďábelské ódy.</p>'
    path = write(tmp_path / "b.htm", latin.encode("iso-8859-2"))
    assert texts(path) == ["Příliš žluťoučký kůň úpěl ďábelské ódy.\n"]


def test_html_reader_handles_deep_nesting(tmp_path: Path) -> None:
    path = write(tmp_path / "a.html", "<div>" * 10_000 + "deep")
    assert texts(path) == ["deep\n"]


def test_importing_the_readers_loads_no_heavy_library() -> None:
    probe = "import sys, {}; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["pyarrow", "pypdfium2", "selectolax", "rensa", "charset_normalizer", "zstandard"]

    def loaded(module: str) -> str:
        command = [sys.executable, "-c", probe.format(module), *heavy]
        env = {"PYTHONPATH": str(Path(charset.__file__).parents[3])}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert loaded("descend.data.corpus_builder, descend.data.corpus").strip() == "[]"
    assert loaded("descend.data.corpus, selectolax").strip() == "['selectolax']"


def test_supported_suffixes_are_lowercase_and_unique() -> None:
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
