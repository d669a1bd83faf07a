"""A gain in words: the sign is in the word, and the interval follows it."""

from __future__ import annotations

from descend.diagnosis.effect_text import describe_effect


def test_better_worse_and_costs() -> None:
    assert (
        describe_effect("x", 0.02, (-0.01, 0.05))
        == "x ends 0.020 nats better (95 %: -0.010 to 0.050)"
    )
    assert (
        describe_effect("x", -0.4, (-0.5, -0.3)) == "x ends 0.400 nats worse (95 %: 0.300 to 0.500)"
    )
    assert (
        describe_effect("x", -0.1, (-0.3, 0.1)) == "x ends 0.100 nats worse (95 %: -0.100 to 0.300)"
    )
    assert describe_effect("half the text", 0.3, (0.2, 0.4), is_ablation=True) == (
        "half the text costs 0.300 nats (95 %: 0.200 to 0.400)"
    )
    assert (
        describe_effect("half the text", -0.1, None, is_ablation=True)
        == "half the text costs -0.100 nats"
    )
