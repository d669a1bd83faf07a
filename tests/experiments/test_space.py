"""What a search may vary: read, checked, and completed."""

from __future__ import annotations

import random

import pytest

from descend.config import make_config
from descend.errors import ConfigError
from descend.experiments.search.space import (
    DEFAULT_OVER,
    ChoiceParam,
    RangeParam,
    complete_config,
    make_search_space,
    parse_over_flags,
)

BASE = make_config({})


def test_ranges_and_choices_are_read() -> None:
    rate, width, layers, drop = make_search_space(
        parse_over_flags(["learning_rate=0.001..0.004", "embed_dim=64,128", "num_layers=1..12",
                    "dropout-rate=0..0.3"]), BASE,
    )  # fmt: skip
    # A rate by its logarithm, however narrow; others where they span a factor of ten.
    assert rate == RangeParam(key="learning_rate", low=0.001, high=0.004, whole=False, log=True)
    assert width == ChoiceParam(key="embed_dim", values=[64, 128])
    assert layers == RangeParam(key="num_layers", low=1, high=12, whole=True, log=True)
    assert drop == RangeParam(key="dropout_rate", low=0, high=0.3, whole=False, log=False)
    (widths,) = make_search_space(parse_over_flags(["embed_dim=100..300"]), BASE)
    assert widths == RangeParam(key="embed_dim", low=128, high=288, whole=True, step=32)
    # From Python: a tuple is a range, a list are values.
    assert make_search_space({"learning_rate": (0.001, 0.004), "embed_dim": [64, 128]}, BASE) == [
        rate,
        width,
    ]


def test_a_range_knows_its_numbers() -> None:
    widths = RangeParam(key="embed_dim", low=128, high=288, whole=True, step=32)
    assert widths.holds(160)
    assert not widths.holds(150)
    assert not widths.holds(320)
    assert not widths.holds({1: 0.1})
    drawn = {widths.draw(random.Random(n)) for n in range(100)}
    assert drawn == {128, 160, 192, 224, 256, 288}
    rates = RangeParam(key="learning_rate", low=0.001234, high=0.01, whole=False, log=True)
    assert rates.readable(0.00456789) == 0.00457
    assert rates.readable(0.0012341) == 0.001234  # not below the range


def test_derived_keys_follow_width_and_context() -> None:
    base = make_config({"embed_dim": 256, "num_heads": 8, "ff_dim": 1024})
    config = complete_config(base, {"embed_dim": 96, "seq_len": 512})
    # Heads of 32 and feed-forward layers of four times the width, as in the base.
    assert (config.num_heads, config.ff_dim, config.max_seq_len) == (3, 384, 512)
    assert complete_config(base, {"embed_dim": 96, "num_heads": 1}).num_heads == 1
    # 50 cannot be divided into parts of 32: one head of 50 has an even size, two of 25 do not.
    assert complete_config(base, {"embed_dim": 50}).num_heads == 1
    # Of narrow feed-forward layers no less is left than may be requested.
    flat = make_config({"embed_dim": 256, "ff_dim": 64})
    assert complete_config(flat, {"embed_dim": 16}).ff_dim == 8
    assert complete_config(BASE, {"learning_rate": 0.002}) == BASE.model_copy(
        update={"learning_rate": 0.002}
    )
    for _ in range(50):
        rng = random.Random(_)
        complete_config(
            BASE,
            {s.key: s.draw(rng) for s in make_search_space(parse_over_flags(DEFAULT_OVER), BASE)},
        )


@pytest.mark.parametrize(
    ("over", "words"),
    [(["learning_rte=1..2"], "Did you mean learning_rate"), (["learning_rate"], "a range such as"),
     (["learning_rate=0.1..0.01"], "bounds reversed.* Write learning_rate=0.01..0.1"),
     (["learning_rate=0.1..0.1"], "an empty range"), (["learning_rate=x..y"], "two numbers"),
     (["learning_rate=1..20"], "10 or less"), (["optimizer=a..b"], "Give values"),
     (["optimizer=adam"], "'adamw' or 'muon'"), (["embed_dim=a,b"], "a whole number"),
     (["embed_dim=1..20"], "fewer than two multiples"), (["batch_size=1.5..4"], "whole numbers"),
     (["num_heads=7,8"], "a divisor of embed_dim 256"), (["embed_dim=128"], "something to choose"),
     (["seed=1,2"], "Use --num-seeds"), (["num_layers=1..2", "num_layers=3,4"], "each key once"),
     (["learning_rate=1:0.1,2:0.2"], "rate")],
)  # fmt: skip
def test_mistakes_get_one_clear_line(over: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_search_space(parse_over_flags(over), BASE)


def test_a_value_may_need_another_key() -> None:
    # 7 heads divide none of the base's 256, but a width that is searched as well.
    space = make_search_space(parse_over_flags(["num_heads=7,8", "embed_dim=112,128"]), BASE)
    assert space[0] == ChoiceParam(key="num_heads", values=[7, 8])
