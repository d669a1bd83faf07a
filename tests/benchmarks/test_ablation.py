"""The changes of the recipe's ablation name constants that exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(FOLDER))
try:
    from recipe_ablation import MANY_EPOCHS, NOW, THEN, Ablation
finally:
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("ablation", [THEN, NOW, MANY_EPOCHS], ids=lambda a: a.name)
def test_each_change_is_of_a_constant_that_exists(ablation: Ablation) -> None:
    for variant in ablation.variants:
        for module, name in ablation.constants_of(variant):
            assert hasattr(module, name), f"{variant.name}: {module.__name__}.{name}"
