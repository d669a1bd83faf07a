"""Which runs compute in the way that was remembered of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from descend.config import make_config
from descend.data.batches import BatchSampler
from descend.model.shape import shape_from_run_config
from descend.training.assembly import tokenize_corpus
from descend.training.execution.autotune import autotune_execution
from descend.training.step_inputs import make_step_inputs


def test_autotune_cache_key_uses_micro_batch_and_loss(
    tiny: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled code is of a shape: that of a part of the batch is timed, and its loss."""
    monkeypatch.setenv("DESCEND_CACHE_DIR", str(tmp_path / "own"))

    def remembered(**keys: object) -> set[str]:
        config = make_config(tiny | keys)
        store = tokenize_corpus(config)
        batches = BatchSampler(store.train, config.seq_len, config.batch_size, config.seed)
        shape = shape_from_run_config(config, store.tokenizer.vocab_size)
        autotune_execution(make_step_inputs(config, shape, batches))
        return {file.stem for file in (tmp_path / "own" / "engine").glob("*.json")}

    plain = remembered()
    assert plain
    assert remembered(seed=7) == plain  # decides nothing
    accumulated = remembered(gradient_accumulation_steps=4)
    assert accumulated > plain
    assert remembered(label_smoothing=0.1) > accumulated
