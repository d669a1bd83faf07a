"""A text of symbols is planned with a token for each character."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from descend import run
from descend.config_sources import resolve_config
from descend.data.text_shape import has_words
from descend.planner.make_plan import make_corpus_plan, plan_config
from descend.report.text.plan_summary import plan_lines, time_plan_lines

LETTERS = random.Random(5)
DNA = "\n".join("".join(LETTERS.choices("ACGT", k=70)) for _ in range(400))
SUMS = "\n".join(f"{a}+{a}={2 * a}" for a in range(3000))
PROSE = "The sea was calm, and the captain slept. " * 50
HAN = "".join(chr(0x4E00 + number) for number in range(300))
JOINED = "thequickbrownfoxjumpsoverthelazydog" * 50


@pytest.mark.parametrize("text", [DNA, SUMS, "0110" * 500, ">chr1 human\n" + DNA])
def test_text_of_symbols_has_no_words(text: str) -> None:
    assert not has_words(text)


@pytest.mark.parametrize("text", ["", PROSE, JOINED, "aba cab bac " * 100, "0.12 3.45 " * 100, HAN])
def test_text_with_words_or_many_characters_has_words(text: str) -> None:
    assert has_words(text)


def test_plan_reads_symbols_one_by_one_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "dna.txt"
    file.write_text(DNA)
    planned = make_corpus_plan(str(file), 0.5)
    config = plan_config(planned, str(tmp_path / "run"))
    assert (config.tokenizer, config.vocab_size) == ("char", None)
    for lines in (plan_lines(planned), time_plan_lines(planned)):
        assert "each character is a token" in " ".join(lines)
    model = run({**config.model_dump(exclude_none=True), "max_steps": 3, "log_level": "error"})
    assert len(model.tokenizer.encode("ACGT")) == 4


def test_named_tokenizer_stays(tmp_path: Path) -> None:
    file = tmp_path / "dna.txt"
    file.write_text(DNA)
    settings = resolve_config({"tokenizer": "bpe"}, environment={})
    planned = make_corpus_plan(str(file), 0.5, settings=settings)
    assert plan_config(planned).tokenizer == "bpe"
    assert "each character" not in " ".join(time_plan_lines(planned))


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_training_recommends_characters_for_symbols(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dna.txt"
    file.write_text(DNA)
    tiny = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "ff_dim": 16, "max_steps": 1}
    where = {"corpus_dir": str(file), "save_dir": str(tmp_path / "run")}
    run({**tiny, **where, "tokenizer": kind})
    text = " ".join(capsys.readouterr().err.split())
    assert ("tokenizer = char reads each one" in text) == (kind == "bpe")
