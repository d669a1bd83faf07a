"""A changed digit or a missing line in what a run wrote down is noticed and said."""

from __future__ import annotations

import json
import logging
import re
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from descend.cli.main import run
from descend.diagnosis.run_context import load_run_context
from descend.errors import RunFolderError
from descend.runs.checksums import check_seal, seal_json
from descend.runs.event_log import (
    EventLog,
    event_problems,
    read_events,
    read_program_warnings,
)
from descend.runs.event_tail import EventTail, last_start_or_stop
from descend.runs.events import Sample, Step, TrainingStarted, TrainingStopped
from descend.runs.run_files import load_summary, read_info, write_summary
from descend.runs.run_folder import read_summary


@pytest.fixture
def run_copy(trained: Path, own_folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(trained, own_folder / "copy"))


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


def put(folder: Path, lines: list[bytes]) -> None:
    (folder / "events.jsonl").write_bytes(b"".join(lines))


def test_a_whole_log_has_no_problems_and_its_seals_hide_nothing(run_copy: Path) -> None:
    assert event_problems(run_copy) == ()
    records = read_events(run_copy)
    assert len(records) == len(lines_of(run_copy))
    assert all(re.search(rb'"crc32":"[0-9a-f]{8}"\}\n\Z', line) for line in lines_of(run_copy))
    assert all(json.loads(line)["kind"] for line in lines_of(run_copy))


def test_a_changed_digit_is_not_reported_as_the_loss(
    run_copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = lines_of(run_copy)
    at = next(n for n, line in enumerate(lines) if b'"step":7,' in line and b'"loss"' in line)
    changed = re.sub(rb'"loss":(\d)', lambda m: b'"loss":%d' % ((int(m[1]) + 1) % 10), lines[at])
    assert changed != lines[at]
    put(run_copy, [*lines[:at], changed, *lines[at + 1 :]])
    with caplog.at_level(logging.WARNING, logger="descend"):
        records = read_events(run_copy)
    assert 7 not in [r.step for r in records if isinstance(r, Step)]
    assert f"line {at + 1} damaged and left out" in caplog.text
    assert "step 8 are missing" in caplog.text
    assert any("damaged and left out" in note for note in load_run_context(run_copy).warnings)


def test_every_bit_of_a_line_is_watched(own_folder: Path) -> None:
    log = EventLog(own_folder)
    for step in (1, 2, 3):
        log.append(Sample(step, "prompt", "text"))
    log.close()
    lines = lines_of(own_folder)
    for at in range(len(lines[1]) - 1):
        for bit in (1, 4, 32):
            changed = bytearray(lines[1])
            changed[at] ^= bit
            if changed[at] == 10:
                continue
            put(own_folder, [lines[0], bytes(changed), lines[2]])
            assert event_problems(own_folder), (at, bit)
            assert [r.step for r in read_events(own_folder)] == [1, 3]


@pytest.mark.parametrize("line", [
    b'{"kind":"training_sta\xf2ted"}', b'{"\xff":1,"kind":"step"}',
    b'{"kind":"sample","text":"\xf2"}',
    b'{"kind":"step","step":1' + b"0" * 400 + b"}", b"[" * 9999, b'{"kind":"training_started"}',
])  # fmt: skip
def test_a_line_of_damaged_bytes_is_left_out_everywhere(own_folder: Path, line: bytes) -> None:
    put(own_folder, [line + b"\n"])
    assert read_events(own_folder) == []
    assert "line 1 damaged" in event_problems(own_folder)[0]
    assert EventTail(own_folder).read() == []
    assert last_start_or_stop(own_folder) is None
    assert read_program_warnings(own_folder) == []


@pytest.mark.parametrize("gone", [slice(0, 1), slice(3, 4), slice(5, 12)])
def test_a_missing_line_is_said(run_copy: Path, gone: slice) -> None:
    lines = lines_of(run_copy)
    del lines[gone]
    put(run_copy, lines)
    assert any("lines are missing before" in p for p in event_problems(run_copy))


def test_the_chain_goes_on_after_a_crash_and_after_an_older_descend(own_folder: Path) -> None:
    (own_folder / "events.jsonl").write_bytes(
        b'{"kind":"training_started","step":0,"time":"t","schema":1}\n'
        b'{"kind":"sample","step":1,"pro'
    )
    for step in (1, 2):
        log = EventLog(own_folder)
        log.append(Sample(step, "p", "t" * 100_000))
        log.append(TrainingStopped(step, "failed", "now"))
        log.close()
        with (own_folder / "events.jsonl").open("ab") as file:
            file.write(b'{"kind":"st')  # the power fails
    records = read_events(own_folder)
    assert event_problems(own_folder) == ()
    assert isinstance(records[0], TrainingStarted)
    assert [r.step for r in records] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["summary.json", "run.json"])
def test_a_changed_digit_in_a_record_is_damage(run_copy: Path, name: str) -> None:
    read = {"summary.json": read_summary, "run.json": read_info}[name]
    read(run_copy)
    content = (run_copy / name).read_bytes()
    changed = re.sub(
        rb"(\d)(,?\n)", lambda m: b"%d" % ((int(m[1]) + 1) % 10) + m[2], content, count=1
    )
    assert changed != content
    (run_copy / name).write_bytes(changed)
    with pytest.raises(RunFolderError, match="SHA-256"):
        read(run_copy)


def test_a_record_without_a_seal_is_still_read(run_copy: Path) -> None:
    value = json.loads((run_copy / "summary.json").read_bytes())
    value.pop("sha256")
    (run_copy / "summary.json").write_text(json.dumps(value))
    assert read_summary(run_copy).finished
    check_seal(seal_json({"a": [1, {"b": 2}]}))


def test_write_summary_takes_little_more_than_twice_its_size_when_epochs_are_many(
    run_copy: Path,
) -> None:
    summary = load_summary(run_copy)
    summary = msgspec.structs.replace(summary, epochs=list(summary.epochs) * 1000)
    tracemalloc.start()
    write_summary(run_copy, summary)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 1e5 < peak < 2.4 * (run_copy / "summary.json").stat().st_size


@pytest.mark.parametrize(("kind", "key"), [
    ("step", "step"), ("step", "epoch"), ("epoch", "step"), ("epoch", "epoch"),
])  # fmt: skip
def test_event_of_a_step_or_epoch_before_the_first_is_left_out(
    run_copy: Path, capsys: pytest.CaptureFixture[str], kind: str, key: str
) -> None:
    events = [json.loads(line) for line in lines_of(run_copy)]
    for event in events:
        event.pop("after", None), event.pop("crc32", None)
        if event["kind"] == kind:
            event[key] = 0
    put(run_copy, [json.dumps(event).encode() + b"\n" for event in events])
    number = next(n for n, event in enumerate(events, 1) if event["kind"] == kind)
    for words in (["diagnose", "--no-trials"], ["report"], ["show"], ["forecast"], ["checklist"]):
        assert run([words[0], str(run_copy), *words[1:]]) in (0, 2)
        assert "bug" not in capsys.readouterr().err
    assert f"{number}" in " ".join(event_problems(run_copy))
