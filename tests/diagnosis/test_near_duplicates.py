"""A validation text that training has in another edition: reported, though no run of it is the
same."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from descend import diagnose, run
from descend.data import builtin_corpora
from descend.diagnosis.measure import measure_run
from descend.diagnosis.run_context import load_run_context

VALIDATION_FRACTION = 0.25


def edition(text: str) -> str:
    """Every eighth word, about, another."""
    rng = random.Random(3)
    return " ".join("thing" if rng.random() < 1 / 8 else word for word in text.split(" "))


@pytest.mark.parametrize("leaks", [False, True])
def test_fuzzy_overlap_of_edited_text_is_data_leakage(tiny: dict[str, Any], leaks: bool) -> None:
    topics = [d.text for d in islice(builtin_corpora.read_builtin_corpus("python"), 40)]
    text = "\n".join(topics)[:60_000]
    # The validation text is the end of the file.
    validation_text, rest = text[:15_000], text[15_000:]
    before = edition(validation_text) + "\n" + rest[:30_000] if leaks else rest
    Path("text.txt").write_text(before[:45_000] + "\n" + validation_text, encoding="utf-8")
    folder = run(tiny | {
        "corpus_dir": "text.txt", "save_dir": "leaking", "validation_fraction": VALIDATION_FRACTION,
        "vocab_size": 400, "max_steps": 30,
    }).folder  # fmt: skip
    measurements = measure_run(load_run_context(folder))
    assert measurements["exact_contamination_fraction"].value < 0.1
    if leaks:
        assert measurements["fuzzy_contamination_fraction"].value > 0.5
        assert "uncontaminated_loss_increase" in measurements
        assert diagnose(folder, proof=False).verdict == "data_leakage"
    else:
        assert measurements["fuzzy_contamination_fraction"].value == 0.0
        assert diagnose(folder, proof=False).verdict != "data_leakage"
