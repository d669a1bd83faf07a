"""Data sets by name, streamed by the real `datasets` from folders of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import descend
from descend.data.corpus import read_documents, resolve_corpus
from descend.data.readers.options import ReadOptions
from descend.errors import CorpusError
from descend.runs.run_files import read_info
from descend.runs.run_text import open_run_text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # those of `datasets` and what it loads
]


@pytest.fixture
def parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("datasets", reason="the extra `datasets` is not installed")
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hub_cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    for split, count in (("train", 300), ("test", 20)):
        table = pa.table({
            "label": list(range(count)),
            "text": [f"{split} fox {n}\nsees {n % 7} hens." for n in range(count)],
            "blob": [b"\x00"] * count,
        })  # fmt: skip
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return f"hf:{folder}"


def texts_of(name: str, **options: str) -> list[str]:
    source = resolve_corpus(name, options=ReadOptions(**options))
    return [document.text for document in read_documents(source)]


def test_data_set_gives_the_rows_of_the_training_split(parquet: str) -> None:
    texts = texts_of(parquet)
    assert len(texts) == 300
    assert texts[1] == "train fox 1\nsees 1 hens."


@pytest.mark.parametrize(("split", "count"), [("test", 20), ("train[:7]", 7)])
def test_data_set_gives_the_rows_of_a_named_split(parquet: str, split: str, count: int) -> None:
    texts = texts_of(parquet, split=split, text_column="text")
    assert len(texts) == count
    assert all(text.startswith(split.partition("[")[0]) for text in texts)


def test_data_set_of_json_lines_is_read_by_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parquet: str
) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    rows = [{"id": "x" * 30, "story": {"text": f"The hen {n}."}} for n in range(5)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = texts_of(f"hf:{folder}", text_column="story.text")
    assert texts == [f"The hen {n}." for n in range(5)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"split": "nowhere"}, "nowhere"),
        ({"split": "train[5:]"}, r"expected a split such as train or train\[:1000\]"),
        ({"text_column": "body"}, "body"),
    ],
)
def test_data_set_refuses_what_it_does_not_have(
    parquet: str, options: dict[str, str], expected: str
) -> None:
    with pytest.raises(CorpusError, match=expected):
        texts_of(parquet, **options)


def test_train_and_resume_use_the_copy_of_a_data_set(
    parquet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "descend", "train", parquet, "--text-column", "text",
         "--split", "train[:200]", "--max-steps", "3", "--embed-dim", "16",
         "--num-layers", "1", "--num-heads", "2", "--seq-len", "16", "--batch-size", "4",
         "--vocab-size", "300", "--save-dir", str(run)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    info = json.loads((run / "run.json").read_text())
    copy = Path(info["resolved_config"]["corpus_dir"])
    assert (copy.suffix, len(copy.read_text().splitlines())) == (".jsonl", 200)
    assert info["corpus"]["corpus"] == parquet
    assert descend.load(run).evaluate(copy).loss > 0
    # On another machine the copy is missing until the data set is named there.
    copy.unlink()
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "other_cache"))
    with pytest.raises(CorpusError, match="Read it once more here"):
        open_run_text(run, read_info(run))
    texts_of(parquet, text_column="text", split="train[:200]")
    assert len(open_run_text(run, read_info(run)).train) > 0
