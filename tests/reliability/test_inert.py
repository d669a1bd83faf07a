"""Shown text is inert, folders are private, and nothing half written is left behind."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from descend.cli.main import run
from descend.cli.output import print_json, print_result, print_status
from descend.guard import make_visible
from descend.report.text.live_progress import print_line
from descend.runs import atomic_write
from descend.runs.atomic_write import make_folder, write_file_atomic
from descend.runs.lock import lock_run_folder

PAYLOADS = [
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x9b31m", "\x1bP$q\x1b\\", "\x08\x08",
    "\rerror: all is well", "\u202egnp.exe", "\u2066x\u2069", "\x7f", "\x1b[?1049h", "\x00",
]  # fmt: skip
posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")


def raw(text: str) -> set[str]:
    return {c for c in text if c != "\n" and make_visible(c) != c}


@pytest.mark.parametrize("payload", PAYLOADS, ids=ascii)
def test_no_escape_reaches_the_terminal(payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert raw(payload)
    name = f"a{payload}b"
    print_status(name)
    print_result(name)
    print_json("list", {"name": name})
    assert run(["report", name.replace("\0", "")]) == 2
    assert run(["train", "--epoch", name]) == 2
    console = Console(file=io.StringIO(), force_terminal=False)
    print_line(name, console)
    out, err = capsys.readouterr()
    for output in (err, out, console.file.getvalue()):  # type: ignore[attr-defined]
        assert not raw(output), ascii(output)
    assert json.loads(out.splitlines()[-1])["name"] == name


@pytest.mark.parametrize("payload", ["\x1b[31m", "\x9b31m", "[/red]", "[bold]"], ids=ascii)
def test_config_show_prints_a_value_as_it_is_when_it_holds_codes_or_markup(
    payload: str, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("odd.json").write_text(json.dumps({"save_dir": f"run{payload}"}))
    assert run(["config", "show", "--config", "odd.json"]) == 0
    out, _ = capsys.readouterr()
    assert not raw(out)
    assert make_visible(f"run{payload}") in out


def test_plain_text_of_all_scripts_stays_as_it_is() -> None:
    for text in ("naïve\tcafé\n", "日本語", "עברית", "👩‍👩‍👧", "a\u200db"):
        assert make_visible(text) == text


@posix
@pytest.mark.skipif(not Path("/dev/ptmx").exists(), reason="no terminals here")
def test_a_name_on_a_real_terminal_is_visible(own_folder: Path) -> None:
    import pty

    master, slave = pty.openpty()
    name = "evil\x1b]0;owned\x07\x9b31m"
    done = subprocess.run([sys.executable, "-m", "descend", "report", name], stdin=slave,
                          stdout=slave, stderr=slave, check=False)  # fmt: skip
    os.close(slave)
    output = b""
    while True:
        try:
            block = os.read(master, 4096)
        except OSError:
            break
        if not block:
            break
        output += block
    os.close(master)
    assert done.returncode == 2
    assert b"evil\\x1b]0;owned\\x07" in output
    assert b"\x1b]0" not in output
    assert b"\x07" not in output


@posix
def test_the_folder_of_a_run_and_the_cache_are_private(stopped: Any, fresh_cache: Path) -> None:
    stopped("deep/er/run")
    for folder in (Path("deep/er/run"), fresh_cache):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


@posix
def test_a_folder_that_the_user_made_keeps_its_mode(own_folder: Path) -> None:
    Path("run").mkdir(mode=0o755)
    with lock_run_folder(Path("run")):
        assert stat.S_IMODE(Path("run").stat().st_mode) == 0o755


def test_each_new_folder_is_synced_into_its_parent(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(atomic_write, "sync_folder", synced.append)
    make_folder(Path("a/b/c"))
    assert synced == [Path("."), Path("a"), Path("a/b")]
    make_folder(Path("a/b/c"))
    assert len(synced) == 3


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@posix
def test_what_a_killed_save_left_is_swept(own_folder: Path) -> None:
    run_folder, dead = own_folder / "run", dead_process()
    for writer in (dead, f"{dead}-0123abcd"):  # as earlier versions wrote it, and as now
        (run_folder / "checkpoints" / f".step_5.{writer}.partial").mkdir(parents=True)
    for name in ("run.json", "summary.json", "config.json", "manifest.json", "README.md"):
        (run_folder / f".{name}.{dead}-0123abcd.partial").write_text("half")
    live, late, new = (run_folder / f".report.html.{pid}-0123abcd.partial"
                       for pid in (os.getpid(), dead, dead + 100_000_000))  # fmt: skip
    for path in (live, late, new):
        path.write_text("half")
    for path in (live, late):
        os.utime(path, (0, 0))
    with lock_run_folder(run_folder):
        left = {p.name for p in run_folder.rglob("*.partial")}
    assert left == {live.name, new.name}, "only what nobody will finish goes"


@posix
def test_what_a_killed_build_left_in_the_cache_is_swept(
    tiny: dict[str, Any], fresh_cache: Path
) -> None:
    from descend.config import make_config
    from descend.data.prepare import prepare_documents

    dead = dead_process()
    stale = [
        fresh_cache / "text" / f"abc.{writer}.partial" for writer in (dead, f"{dead}-0123abcd")
    ]
    live = fresh_cache / "text" / f"abc.{os.getpid()}-0123abcd.partial"
    for folder in (*stale, live):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    prepare_documents(make_config(tiny))
    assert not any(folder.exists() for folder in stale)
    assert live.exists()


def test_a_write_leaves_nothing_beside_its_file(own_folder: Path) -> None:
    write_file_atomic(Path("file"), b"x")
    assert [p.name for p in own_folder.iterdir()] == ["file"]
