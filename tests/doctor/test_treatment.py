"""When a cure goes on and when it ends; training and examining are played by tables."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from descend import run
from descend.cli.main import run as cli
from descend.doctor.diagnosis import Cost, Diagnosis, Finding, Trial
from descend.doctor.prescription import changed_settings, merged_prescription
from descend.doctor.treatment import Treatment, treat
from descend.report.diagnosis import turn_line
from descend.runs.folder import read_info, read_summary, write_info, write_summary


def trial(**changes: Any) -> Trial:
    fields: dict[str, Any] = {
        "metric": "", "change": "", "control": 4.0, "treated": 3.9, "gain": 0.1,
        "ci95": (0.05, 0.15), "p_holm": 0.01, "seeds": 3, "tokens": 1, "share_of_run": 1.0,
        "seconds": 1.0, "cost_factor": 1.0,
    }  # fmt: skip
    return Trial(**fields | changes)


def diagnosis(*found: tuple[str, dict[str, Any], Trial | None]) -> Diagnosis:
    causes = [
        Finding(cause=c, probability=0.9, evidence=[], prescription=keys, remedy="", trial=t)
        for c, keys, t in found
    ]
    verdict = causes[0].cause if causes else "healthy"
    return Diagnosis(run="", verdict=verdict, probability=0.9, causes=causes, ruled_out=[],
                     readings=[], notes=[], cost=Cost(1.0, 0.1))  # fmt: skip


def test_prescriptions_merge_only_what_was_tried_together() -> None:
    first = ("learning_rate_too_low", {"learning_rate": 0.01}, trial())
    beside = ("batch_too_large", {"batch_size": 4}, trial())
    on_top = ("model_too_small", {"embed_dim": 32}, trial(after=["learning_rate_too_low"]))
    found = merged_prescription(diagnosis(first, on_top, beside))
    assert found == {"learning_rate": 0.01, "embed_dim": 32}
    # What was tried on top of a remedy that is not applied itself is not applied either.
    clip = ("diverged", {"gradient_clip": 1.0}, trial())
    base = ("context_too_short", {"seq_len": 64}, trial())
    on_that = ("batch_too_large", {"batch_size": 4}, trial(after=["context_too_short"]))
    assert merged_prescription(diagnosis(clip, base, on_that)) == {"gradient_clip": 1.0}
    # What nothing was tried for is a suspicion and not applied.
    assert merged_prescription(diagnosis(("undertrained", {"epoch": 4}, None))) == {}


def played(
    trained: Path, tmp_path: Path, bits: list[float], diagnoses: list[Diagnosis],
    seconds: float = 100.0, examining: float = 0.0,
) -> tuple[Treatment, list[dict[str, Any]]]:  # fmt: skip
    asked: list[dict[str, Any]] = []
    summary = read_summary(trained)

    def make(number: int) -> Path:
        folder = tmp_path / str(number)
        folder.mkdir()
        write_info(folder, read_info(trained))
        write_summary(
            folder, msgspec.structs.replace(summary, bits_per_byte=bits[number], seconds=10.0)
        )
        return folder

    def train(settings: dict[str, Any]) -> Path:
        asked.append(settings)
        return make(len(asked))

    says = iter(diagnoses)
    found = treat(make(0), seconds, train, lambda folder: next(says), lambda took: examining,
                  lambda turn: None)  # fmt: skip
    return found, asked


HIGHER = diagnosis(("learning_rate_too_low", {"learning_rate": 0.01}, trial()))


def test_it_goes_on_until_nothing_is_prescribed(trained: Path, tmp_path: Path) -> None:
    found, asked = played(trained, tmp_path, [3.0, 2.5], [HIGHER, diagnosis()])
    assert [t.bits_per_byte for t in found.turns] == [3.0, 2.5]
    assert found.turns[1].gain == pytest.approx(0.5)
    assert asked[0]["learning_rate"] == 0.01
    assert asked[0]["embed_dim"] == read_info(trained).config["embed_dim"]
    assert (found.verdict, found.best) == ("healthy", str(tmp_path / "1"))


def test_a_turn_names_all_that_was_mended(trained: Path, tmp_path: Path) -> None:
    first = ("learning_rate_too_low", {"learning_rate": 0.01}, trial())
    second = ("batch_too_large", {"batch_size": 2}, trial(after=["learning_rate_too_low"]))
    third = ("undertrained", {"epoch": 2}, trial(after=["learning_rate_too_low", second[0]]))
    beside = ("model_too_small", {"embed_dim": 32}, trial())
    says = [diagnosis(first, second, third, beside), diagnosis()]
    found, asked = played(trained, tmp_path, [3.0, 2.5], says)
    assert (asked[0]["batch_size"], asked[0]["epoch"]) == (2, 2)
    turn = found.turns[1]
    assert turn.mended == [first[0], second[0], third[0]]
    assert "for learning rate too low, batch too large, undertrained" in turn_line(turn)


def test_a_prescribed_vocabulary_takes_the_place_of_a_given_tokenizer(
    tiny: dict[str, Any], trained: Path
) -> None:
    tokenizer = str(trained / "tokenizer.json")
    settings = {k: v for k, v in tiny.items() if k != "vocab_size"} | {"epoch": 1}
    run(settings | {"vocab_path": tokenizer, "save_dir": "given"})
    assert changed_settings(Path("given"), {"epoch": 2})["vocab_path"] == tokenizer
    changed = changed_settings(Path("given"), {"vocab_size": 280})
    assert run(changed | {"save_dir": "made"}).info.resolved["vocab_size"] == 280


def test_it_ends_where_a_change_gains_nothing_and_keeps_the_better(
    trained: Path, tmp_path: Path
) -> None:
    found, _ = played(trained, tmp_path, [3.0, 3.1], [HIGHER])
    assert "nothing worth having" in found.stopped
    assert found.best == str(tmp_path / "0")


def test_nothing_is_begun_that_does_not_fit(trained: Path, tmp_path: Path) -> None:
    found, asked = played(trained, tmp_path, [3.0], [HIGHER], seconds=5.0)
    assert asked == []
    assert "about 10 s" in found.stopped


def test_no_diagnosis_is_begun_that_does_not_fit(trained: Path, tmp_path: Path) -> None:
    found, asked = played(trained, tmp_path, [3.0], [], seconds=50.0, examining=60.0)
    assert (asked, found.verdict) == ([], None)
    assert "the next diagnosis would take about 60 s" in found.stopped


def test_what_is_not_applied_costs_nothing(trained: Path, tmp_path: Path) -> None:
    dear = ("model_too_small", {"embed_dim": 64}, msgspec.structs.replace(trial(), cost_factor=20))
    first = ("learning_rate_too_low", {"learning_rate": 0.01}, trial())
    says = [diagnosis(first, dear), diagnosis()]
    _, asked = played(trained, tmp_path, [3.0, 2.5], says, seconds=60.0)
    assert [a["learning_rate"] for a in asked] == [0.01]


def test_a_first_training_that_does_not_fit_is_told_beforehand(
    text_file: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for key, value in (("EMBED_DIM", "16"), ("NUM_HEADS", "2"), ("NUM_LAYERS", "1"),
                       ("FF_DIM", "32"), ("SEQ_LEN", "16"), ("MAX_SEQ_LEN", "16"),
                       ("EPOCHS", "1"), ("VOCAB_SIZE", "300")):  # fmt: skip
        monkeypatch.setenv(f"DESCEND_{key}", value)
    assert cli(["cure", str(text_file), "--minutes", "0.00001"]) == 0
    said = capsys.readouterr().err
    assert "more than the 0.0 s given" in said, said
    assert said.index("more than the") < said.index("tokens/s  ")


def test_silly_wishes_get_a_line(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["cure", str(trained), "--minutes", "0"]) == 2
    assert cli(["cure", "no/such/text"]) == 2
    shutil.copytree(trained, "half")
    write_summary(Path("half"), msgspec.structs.replace(read_summary(trained), finished=False))
    assert cli(["cure", "half"]) == 2
    said = capsys.readouterr().err
    assert "half: found a run that is not finished" in said
    assert "descend resume half" in said
    assert "Traceback" not in said


def test_where_a_cure_begins_is_told_once(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, "own")  # the diagnosis is written into it
    assert cli(["cure", "own", "--minutes", "0.00001"]) == 0
    said = capsys.readouterr()
    assert (said.out + said.err).count("where the cure begins") == 1


@pytest.mark.slow
def test_a_real_run_is_cured(tiny: dict[str, Any]) -> None:
    small = {"embed_dim": 32, "num_layers": 1, "ff_dim": 64, "optimizer": "adamw"}
    run(tiny | small | {"learning_rate": 0.0001, "save_dir": "ill"})
    assert cli(["cure", "ill", "--minutes", "2", "--json"]) == 0
