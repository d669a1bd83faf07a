"""Which runs compute in the way that was remembered of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.config import make_config
from descend.model.shape import shape_of
from descend.text.batches import BatchPlan
from descend.text.store import prepare_text, prepare_tokens
from descend.training.engine import choose_execution
from descend.training.job import tokenizer_for


def test_a_way_is_remembered_of_equal_micro_batches_and_losses(
    tiny: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled code is of a shape: that of a part of the batch is timed, and its loss."""
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "own"))

    def remembered(**keys: object) -> set[str]:
        config = make_config(tiny | keys)
        text = prepare_text(config)
        store = prepare_tokens(text, tokenizer_for(config, text))
        batches = BatchPlan(store.train, config.seq_len, config.batch_size, config.seed)
        choose_execution(config, shape_of(config, store.tokenizer.vocab_size), batches)
        return {file.stem for file in (tmp_path / "own" / "engine").glob("*.json")}

    plain = remembered()
    assert plain
    assert remembered(seed=7) == plain  # decides nothing
    accumulated = remembered(gradient_accumulation=4)
    assert accumulated > plain
    assert remembered(label_smoothing=0.1) > accumulated
