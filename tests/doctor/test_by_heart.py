"""The probe of a diagnosis: whether the network of a run can learn random tokens by heart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from descend.cli.main import run as cli
from descend.doctor import consult as consulting
from descend.doctor.by_heart import SHARE, by_heart
from descend.doctor.case import Case, open_case
from descend.doctor.causes import CAUSES
from descend.doctor.consult import consult
from descend.doctor.diagnosis import trial_seconds
from descend.handbook.find import find
from descend.report.diagnosis import diagnosis_text
from descend.signals.memorise import KNOWN

NAMES = {"memorise_loss", "memorise_steps"}


def at_rate(case: Case, factor: float) -> Case:
    """`case` as if it had trained at another rate."""
    steps = tuple(
        msgspec.structs.replace(s, learning_rate=s.learning_rate * factor) for s in case.steps
    )
    return Case(**{name: getattr(case, name) for name in case.__dataclass_fields__} | {
        "steps": steps
    })  # fmt: skip


def test_a_sound_run_knows_them_soon_and_one_at_a_tiny_rate_does_not(trained: Path) -> None:
    case = open_case(trained)
    readings, notes = by_heart(case, math.inf)
    assert notes == []
    assert readings.keys() == NAMES
    assert readings["memorise_loss"].value < KNOWN
    assert 1 < readings["memorise_steps"].value < 200
    assert by_heart(case, math.inf) == (readings, [])
    slow, notes = by_heart(at_rate(case, 0.01), math.inf)
    assert notes == []
    assert slow.keys() == {"memorise_loss"}
    assert slow["memorise_loss"].value > 1
    assert {find(name).name for name in NAMES} == {"memorise"}
    assert NAMES.isdisjoint(e.signal for c in CAUSES for e in c.expects)


def test_what_was_not_seen_to_the_end_is_no_reading_but_a_note(trained: Path) -> None:
    readings, notes = by_heart(open_case(trained), 0.0)
    assert readings == {}
    assert "--budget" in notes[0]
    readings, notes = by_heart(at_rate(open_case(trained), 1e30), math.inf)
    assert readings == {}
    assert "ran away" in notes[0]


def test_a_diagnosis_tells_it_unless_nothing_may_be_tried(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def noting(case: Case, seconds: float) -> object:
        given.append(seconds)
        return by_heart(case, seconds)

    monkeypatch.setattr(consulting, "by_heart", noting)
    assert cli(["diagnose", str(trained), "--json"]) == 0  # too little text for trials
    found = json.loads(capsys.readouterr().out)
    assert {r["signal"] for r in found["readings"]} >= NAMES
    assert given == [pytest.approx(SHARE * trial_seconds(open_case(trained).full_seconds))]
    (trained / "diagnosis.json").unlink()
    alone = consult(trained, proof=False)
    assert NAMES.isdisjoint(r.signal for r in alone.readings)
    assert len(given) == 1
    assert alone.verdict == found["verdict"]
    told = diagnosis_text(consult(trained), explain=True)
    assert "memorise steps " in told
    assert "memorise loss " in told
