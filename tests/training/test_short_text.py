"""A text shorter than the usual context is trained on all the same, if none was requested."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descend.config import make_config
from descend.errors import CorpusError
from descend.report.text.run_notices import run_notices
from descend.training.continuation import continuation_config
from descend.training.recipe import choose_batch_size, shorten_context_for
from descend.training.trainer import run_training
from descend.training.training_run import create_run

SENTENCES = "The river freezes in January, and children skate to school on it.\n" * 2 + (
    "Nobody in the village remembers who planted the orchard by the church.\n"
    "She writes her letters in green ink and forgets to post them.\n"
)
SMALL = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 16, "device": "cpu",
         "tokenizer": "char", "validation_fraction": 0.3, "epoch": 1}  # fmt: skip


@given(st.integers(0, 400))
def test_the_context_goes_twice_into_the_text(tokens: int) -> None:
    config = shorten_context_for(make_config({"max_seq_len": 256}), tokens)
    if tokens > 128 or tokens < 17:
        assert config.seq_len == 128
    else:
        assert 2 * config.seq_len < tokens <= 4 * config.seq_len
    requested_config = make_config({"seq_len": 128, "max_seq_len": 256})
    assert shorten_context_for(requested_config, tokens).seq_len == 128


def test_a_short_text_has_a_smaller_batch_unless_it_was_requested() -> None:
    # benchmarks/results/plan/batch_runs.csv (36, 135, and 354 kB)
    sizes = [choose_batch_size(make_config({}), n).batch_size for n in (36_000, 135_000, 354_000)]
    assert sizes == [4, 8, 16]
    requested = make_config({"batch_size": 16})
    divided = make_config({"gradient_accumulation_steps": 8})
    assert [choose_batch_size(c, 36_000).batch_size for c in (requested, divided)] == [16, 16]


def test_ten_sentences_are_trained_on_and_on(tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text(SENTENCES[:120])
    config = make_config(SMALL | {"corpus_dir": str(text)})
    run = create_run(config, tmp_path / "run")
    assert run.plan.config.seq_len < 128
    assert any("instead of 128" in note for note in run_notices(run))
    list(run_training(run))
    further = continuation_config(tmp_path / "run", {})
    assert further.seq_len == run.plan.config.seq_len
    with pytest.raises(CorpusError, match="set seq_len to"):
        create_run(
            make_config(SMALL | {"corpus_dir": str(text), "seq_len": 128}), tmp_path / "other"
        )
