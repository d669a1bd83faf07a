"""All models of an improvement are judged on the same validation bytes, and copies do not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from descend.config import make_config
from descend.data.prepare import prepare_documents, prepare_tokens
from descend.data.token_store import PreparedCorpus
from descend.data.tokenizer import train_tokenizer
from descend.experiments.text_treatment import treat_text
from descend.experiments.validation_text import (
    NUM_PIECES,
    score_network,
    validation_text,
    without_contamination,
)
from descend.metrics.evaluation import evaluate
from descend.model.shape import shape_from_run_config
from descend.model.transformer import Transformer
from descend.runs.model_files import load_model
from descend.runs.run_files import read_info


def passages(count: int, seed: int = 0) -> list[str]:
    """Texts of made-up words, none of which stands in another."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghiklmno"), 5)) for _ in range(400)]
    return [" ".join(rng.choice(words, 80)) + "\n" for _ in range(count)]


def corpus_of(texts: list[str], folder: str = "texts") -> PreparedCorpus:
    Path(folder).mkdir()
    for number, text in enumerate(texts):
        (Path(folder) / f"text{number:03}.txt").write_text(text)
    return prepare_documents(make_config({"corpus_dir": folder}))


def test_score_is_that_of_the_run_where_nothing_is_left_out(trained: Path) -> None:
    info = read_info(trained)
    corpus = prepare_documents(make_config(info.resolved_config))
    loaded, context = load_model(trained), int(info.resolved_config["seq_len"])
    store = prepare_tokens(corpus, loaded.tokenizer)
    expected = evaluate(loaded.model, store.validation, loaded.tokenizer.byte_lengths, context)
    score = score_network(loaded.model, loaded.tokenizer, validation_text(corpus), context)
    assert score.bits_per_byte == pytest.approx(expected.bits_per_byte, rel=1e-5)
    assert len(score.pieces) <= NUM_PIECES
    assert np.mean(score.pieces) == pytest.approx(score.bits_per_byte, rel=0.2)


def test_networks_of_other_tokenizers_share_validation_pieces() -> None:
    corpus = corpus_of(passages(40))
    scores = []
    for kind, size in (("bpe", 300), ("bpe", 600), ("byte", 0)):
        tokenizer = train_tokenizer(kind, size, corpus.train_texts)  # type: ignore[arg-type]
        config = make_config({"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32})
        network = Transformer(shape_from_run_config(config, tokenizer.vocab_size))
        scores.append(score_network(network, tokenizer, validation_text(corpus), 32))
    assert {len(s.pieces) for s in scores} == {NUM_PIECES}
    assert len({s.bits_per_byte for s in scores}) == 3


def test_contaminated_validation_bytes_do_not_count() -> None:
    texts = passages(40)
    validation_indices = _validation_documents(corpus_of(texts, "before"))
    training = [i for i in range(40) if i not in validation_indices]
    for copied, host in zip(
        validation_indices[: len(validation_indices) // 2], training, strict=False
    ):
        texts[host] = texts[host][:200] + texts[copied] + texts[host][200:]
    corpus = corpus_of(texts, "after")  # the lengths changed, and so may what is held out
    tokenizer = train_tokenizer("bpe", 400, corpus.train_texts)
    clean = without_contamination(validation_text(corpus), tokenizer)
    train_text = "".join(corpus.train_texts())
    at, num_copies = 0, 0
    for i in _validation_documents(corpus):
        counted = clean.counted[at : at + len(texts[i])]
        at += len(texts[i])
        if texts[i] in train_text:
            num_copies += 1
            assert counted.mean() < 0.1
        elif len(texts[i]) < 600:  # neither copied nor with a copy in it
            assert counted.all()
    assert num_copies  # else nothing is tested
    assert clean.leaves_out_contamination
    assert clean.counted.mean() == pytest.approx(1 - clean.contaminated_fraction, abs=1e-6)


def _validation_documents(corpus: PreparedCorpus) -> list[int]:
    starts = corpus.split.validation[:, 0]
    return (np.searchsorted(corpus.documents.offsets, starts, side="right") - 1).tolist()


def test_text_without_copies_is_left_as_it_is() -> None:
    corpus = corpus_of(passages(30))
    keys = {"corpus_dir": "texts"}
    text = validation_text(corpus)
    treatment = treat_text(keys, text, Path("better"))
    assert not treatment.is_applied
    assert treatment.keys == keys
    assert treatment.validation is text
    assert not Path("better").exists()


def test_duplicate_removal_preserves_validation_documents() -> None:
    texts = passages(40)
    corpus = corpus_of(texts + texts[:12] + texts[:5])
    keys = {"corpus_dir": "texts", "sample_size": None, "seed": 42}
    treatment = treat_text(keys, validation_text(corpus), Path("better"))
    assert treatment.is_applied
    assert treatment.duplicate_fraction == pytest.approx(17 / 57, abs=0.02)
    after = prepare_documents(make_config(treatment.keys))
    assert len(after.documents) == 40
    assert set(after.documents.hashes) == set(corpus.documents.hashes)
    counted_bytes, spans = treatment.validation.counted, corpus.split.validation
    training = {
        after.documents.document_bytes(i)
        for i in range(40)
        if i not in _validation_documents(after)
    }
    at = 0
    for start, end in spans:
        if counted_bytes[at]:
            assert corpus.documents.bytes(int(start), int(end)) not in training
        at += int(end - start)
    assert counted_bytes.any()


def test_a_book_in_one_piece_is_not_treated() -> None:
    corpus = corpus_of(["".join(passages(30))])
    assert not treat_text(
        {"corpus_dir": "texts"}, validation_text(corpus), Path("better")
    ).is_applied
