"""The warning about validation text that also stands in the training text."""

from __future__ import annotations

import random
from pathlib import Path

from descend.config import make_config
from descend.data.corpus_stats import compute_corpus_stats
from descend.report.text.contamination_notice import describe_contamination
from descend.report.text.corpus_summary import format_corpus_stats
from descend.report.text.run_notices import run_notices
from descend.training.training_run import create_run


def test_little_contamination_needs_no_word() -> None:
    assert describe_contamination(0.01) is None
    assert "too optimistic" in (describe_contamination(0.2) or "")
    assert "--deduplicate" in (describe_contamination(0.2) or "")
    assert "--deduplicate" not in (describe_contamination(0.2, has_phrases=True) or "")


def test_warning_names_the_fix_where_validation_text_is_copied(tmp_path: Path) -> None:
    chance = random.Random(3)
    words = [
        f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "re") for b in ("bat", "dim", "for", "sul")
    ]
    originals = [" ".join(chance.choices(words, k=120)) for _ in range(6)]
    (tmp_path / "text").mkdir()
    for number in range(60):
        text = f"{originals[number % 6]} version {number}"
        (tmp_path / "text" / f"{number:02}.txt").write_text(text)
    keys = {"corpus_dir": str(tmp_path / "text"), "vocab_size": 300}
    small = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 32, "seq_len": 16}
    run = create_run(make_config(keys | small), tmp_path / "run")
    stats = compute_corpus_stats(run.store)
    assert stats.contamination_fraction > 0.5
    (line,) = [x for x in format_corpus_stats(stats) if x.startswith("Warning: ")]
    assert "--deduplicate near" in line
    assert line in run_notices(run)
