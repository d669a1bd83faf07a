"""Lines break between words, and commands stay whole."""

from __future__ import annotations

import pytest

from descend.report.text.wrapping import wrap_lines

SENTENCE = (
    "models/a is better by 0.036 bits per byte, with one run each. For a significance test over "
    "several seeds, run `descend compare --arm models/a --arm models/b` and read its table."
)


@pytest.mark.parametrize("width", [60, 80, 110])
def test_wrapped_lines_keep_words_and_commands_whole(width: int) -> None:
    lines = wrap_lines(SENTENCE, width).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == SENTENCE
    assert sum("`descend compare --arm models/a --arm models/b`" in line for line in lines) == 1


@pytest.mark.parametrize("width", range(30, 80))
def test_wrapped_lines_keep_a_number_with_its_unit_and_key(width: int) -> None:
    text = (
        "the learning rate ends 2.726 nats better (95 % CI 2.581 to 2.871): learning_rate = 0.0003"
    )
    lines = wrap_lines(text, width)
    assert "95 % CI" in lines
    assert "learning_rate = 0.0003" in lines


def test_commands_tables_and_charts_keep_their_line() -> None:
    for line in ("next: descend generate models/run " + "x " * 60,
                 "run   state   text  " + "y" * 90,
                 "        │" + "·" * 90):  # fmt: skip
        assert wrap_lines(line, 80) == line
