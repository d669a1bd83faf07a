"""From text to tokens on disk: what is kept, what is cached, what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from descend.config import make_config
from descend.data.corpus_stats import compute_corpus_stats
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
from descend.data.token_store import TokenStore, encode_corpus
from descend.errors import CorpusError


def store_of(corpus: Path, **keys: object) -> TokenStore:
    config = make_config({"corpus_dir": str(corpus), "vocab_size": 300} | keys)
    text = prepare_documents(config)
    return prepare_tokens(text, prepare_tokenizer(text, config.tokenizer, 300))


@pytest.mark.parametrize("kind", ["bpe", "char", "byte"])
def test_both_sides_decode_to_the_text(text_file: Path, kind: str) -> None:
    store = store_of(text_file, tokenizer=kind)
    decode = store.tokenizer.decode
    whole = decode(store.train.tolist()) + decode(store.validation.tolist())
    assert whole == text_file.read_text()
    lengths = store.tokenizer.byte_lengths
    assert int(lengths[store.train].sum()) == store.info.train_bytes
    assert int(lengths[store.validation].sum()) == store.info.validation_bytes
    share = store.info.validation_bytes / len(text_file.read_bytes())
    assert 0.05 <= share <= 0.15


def test_token_store_delimits_documents_with_end_tokens(own_folder: Path) -> None:
    corpus = own_folder / "corpus"
    corpus.mkdir()
    for n in range(12):
        (corpus / f"{n:02}.txt").write_text(f"document {n} " + "word " * 30)
    store = store_of(corpus)
    end = store.tokenizer.eos_token_id
    for side in (store.train, store.validation):
        assert side[0] == end
        assert side[-1] == end
    ends = int((store.train == end).sum() + (store.validation == end).sum())
    assert ends == 12 + 2
    assert store.info.split_by == "documents"


def test_a_second_preparation_reads_the_cache(text_file: Path, own_folder: Path) -> None:
    corpus = own_folder / "again.txt"
    corpus.write_text(text_file.read_text())
    first = store_of(corpus)
    assert first.train.filename == store_of(corpus).train.filename  # type: ignore[attr-defined]
    corpus.write_text(text_file.read_text() + "One more line.\n")
    other = store_of(corpus)
    assert other.train.filename != first.train.filename  # type: ignore[attr-defined]
    assert "One more line" in other.tokenizer.decode(other.validation.tolist())


def test_duplicate_corpus_folder_reuses_cached_tokens(text_file: Path, own_folder: Path) -> None:
    stores = []
    for name in ("one", "other"):
        shutil.copytree(text_file.parent, own_folder / name, copy_function=shutil.copy2)
        stores.append(store_of(own_folder / name))
    assert stores[0].train.filename == stores[1].train.filename  # type: ignore[attr-defined]
    assert [Path(s.info.corpus).name for s in stores] == ["one", "other"]


def test_prepare_text_retries_skipped_files_when_anew(
    text_file: Path, own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = own_folder / "corpus"
    shutil.copytree(text_file.parent, corpus)
    late, good = corpus / "late.jsonl", '{"text": "It came late."}\n'
    late.write_text(good.replace("}", "{"))
    status = late.stat()
    config = make_config({"corpus_dir": str(corpus), "vocab_size": 300})
    first = prepare_documents(config, anew=True)
    assert prepare_documents(config, anew=True).key == first.key
    assert [m.split()[:2] for m in caplog.messages] == [["skipped", "late.jsonl,"]] * 2
    # As after a timeout or a permission that was missing, neither size nor time tells.
    late.write_text(good)
    os.utime(late, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert prepare_documents(config).key == first.key
    again = prepare_documents(config, anew=True)
    assert again.key != first.key
    assert b"It came late." in again.documents.bytes(0, again.documents.nbytes)
    assert prepare_documents(config).key == again.key
    assert len(caplog.messages) == 2


def test_prepare_text_warns_again_when_anew(
    text_file: Path, own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = own_folder / "corpus"
    shutil.copytree(text_file.parent, corpus)
    (corpus / "latin1.txt").write_bytes("Ein schöner Tag für Bücher und Vögel.\n".encode("cp1252"))
    (corpus / "photo.jpg").write_bytes(b"\xff\xd8")
    config = make_config({"corpus_dir": str(corpus), "vocab_size": 300})
    warnings = [
        "not read: 1 .jpg (under 1 % of the bytes)",
        'latin1.txt: not valid UTF-8, read as cp1252: "Ein schöner Tag für Bücher und Vögel."',
    ]
    for _ in range(2):
        caplog.clear()
        prepare_documents(config, anew=True)
        assert caplog.messages == warnings
    caplog.clear()
    prepare_documents(config)
    assert not caplog.messages, "who looks back has been told"


def test_other_seeds_hold_out_other_documents(own_folder: Path) -> None:
    corpus = own_folder / "corpus"
    corpus.mkdir()
    for n in range(30):
        (corpus / f"{n:02}.txt").write_text(f"number{n} " * 20)
    validation_texts = {
        seed: store_of(corpus, seed=seed).tokenizer.decode(
            store_of(corpus, seed=seed).validation.tolist()
        )
        for seed in (1, 2, 3)
    }
    assert len(set(validation_texts.values())) > 1
    assert validation_texts[1] == store_of(corpus, seed=1).tokenizer.decode(
        store_of(corpus, seed=1).validation.tolist()
    )


def test_encode_all_covers_the_whole_text(text_file: Path) -> None:
    config = make_config({"corpus_dir": str(text_file), "vocab_size": 300})
    text = prepare_documents(config)
    tokenizer = prepare_tokenizer(text, "bpe", 300)
    ids, nbytes = encode_corpus(text, tokenizer)
    assert tokenizer.decode(ids.tolist()) == text_file.read_text()
    assert nbytes == len(text_file.read_bytes())
    assert text.split.method == "block"
    assert np.count_nonzero(ids == tokenizer.eos_token_id) == 2, (
        "none where the split cut the document"
    )


def test_long_documents_are_cut_without_loss(own_folder: Path) -> None:
    # Longer than one piece, without a newline to cut at, full of multi-byte characters.
    text = "äöü€😀" * 150_000
    (own_folder / "long.txt").write_text(text)
    store = store_of(own_folder / "long.txt", tokenizer="byte")
    decode = store.tokenizer.decode
    assert decode(store.train.tolist()) + decode(store.validation.tolist()) == text


def test_corpus_stats_match_corpus_content(own_folder: Path) -> None:
    corpus = own_folder / "corpus"
    corpus.mkdir()
    for n in range(20):
        (corpus / f"{n:02}.txt").write_text(
            "the same words again é " * 20 if n < 5 else f"d{n} " * 99
        )
    config = make_config({"corpus_dir": str(corpus), "vocab_size": 300})
    text = prepare_documents(config)
    store = prepare_tokens(text, prepare_tokenizer(text, "bpe", 300))
    stats = compute_corpus_stats(store)
    contents = [p.read_text() for p in sorted(corpus.iterdir())]
    assert stats.documents == 20
    assert stats.bytes == sum(len(c.encode()) for c in contents)
    assert stats.characters == sum(map(len, contents))
    assert stats.tokens == len(store.train) + len(store.validation)
    assert stats.duplicate_fraction == pytest.approx(4 * len(contents[0].encode()) / stats.bytes)
    assert stats.near_duplicate_fraction is not None
    assert stats.near_duplicate_fraction >= 4 / 20
    assert sum(stats.frequency_octaves) == stats.vocab_size
    assert stats.frequent_tokens[0].count == np.bincount(store.train).max()
    baselines = stats.ngram_baselines
    assert baselines.uniform == pytest.approx(np.log(stats.vocab_size))
    assert baselines == store.info.ngram_baselines


def test_too_little_text_is_refused_in_one_sentence(own_folder: Path) -> None:
    (own_folder / "short.txt").write_text("a")
    with pytest.raises(CorpusError) as caught:
        store_of(own_folder / "short.txt")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_hundred_megabytes_become_tokens_in_fixed_memory(own_folder: Path) -> None:
    script = """
import random, resource, sys
from pathlib import Path
from descend.config import make_config
from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
words = ["w%d" % random.Random(i).randrange(10**6) for i in range(20000)]
pick = random.Random(0)
path = Path("big.txt")
with path.open("w") as file:
    for _ in range(int(sys.argv[1])):
        file.write(" ".join(pick.choices(words, k=150)) + "\\n")
config = make_config({"corpus_dir": str(path), "vocab_size": 4096})
text = prepare_documents(config)
store = prepare_tokens(text, prepare_tokenizer(text, "bpe", 4096))
print(path.stat().st_size, len(store.train), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = {}
    for lines in (10_000, 100_000):
        done = subprocess.run(
            [sys.executable, "-c", script, str(lines)], check=True, capture_output=True, text=True
        )
        size, tokens, peak = map(int, done.stdout.split())
        assert tokens > size / 8
        peaks[lines] = peak
    assert size > 80e6
    # Ten times the text; what grows is the pages of mapped files that the system keeps around.
    assert peaks[100_000] < peaks[10_000] + 550_000  # KiB; the n-gram counts stop at 5 M tokens
