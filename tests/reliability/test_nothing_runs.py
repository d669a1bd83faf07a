"""Lines of SECURITY.md about the whole life of a folder: nothing in it runs, and no pickle."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import descend
from descend.cli.output import write_generated
from descend.runs.checksums import seal_json
from descend.training.trainer import run_training
from descend.training.training_run import resume_run

WATCHED = """
import os, sys
place = sys.argv[1]

def watch(event, arguments):
    if event == "pickle.find_class":
        print("pickle:", arguments, file=sys.stderr)
    elif event == "import" and str(arguments[1] or "").startswith(place):
        print("import:", arguments, file=sys.stderr)
    elif event == "compile" and str(arguments[1]).startswith((place, "modeling")):
        print("compile:", arguments[1], file=sys.stderr)

from descend.cli.main import run
sys.addaudithook(watch)
codes = [run(line.split()) for line in sys.stdin.read().splitlines()]
print("codes:", codes, file=sys.stderr)
"""
"""Runs the commands on standard input, and says what must not happen in the folder."""

LOOP = "{% for a in range(10**9) %}{{ ''.__class__.__mro__ }}{% endfor %}"


def add_code(folder: Path) -> None:
    """Name code wherever transformers would look for it, and a template without end."""
    (folder / "modeling_descend.py").write_text("raise SystemExit('the code of the folder ran')\n")
    (folder / "chat_template.jinja").write_text(LOOP)
    names = {"AutoModelForCausalLM": "modeling_descend.Model", "AutoConfig": "modeling_descend.C"}
    for name, more in (("config.json", {}), ("tokenizer_config.json", {"chat_template": LOOP})):
        content = json.loads((folder / name).read_bytes())
        (folder / name).write_text(
            json.dumps(content | more | {"auto_map": names, "trust_remote_code": True})
        )
    (folder / "manifest.json").unlink()  # as of a model from elsewhere


def test_no_pickle_is_read_and_no_code_of_a_folder_runs(stopped: Any, own_folder: Path) -> None:
    stopped()
    Path("text.txt").write_text("A cat sleeps on the mat. " * 40)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(own_folder)], input="resume run\n",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "codes: [0]" in done.stderr, done.stderr
    add_code(Path("run"))
    lines = (
        "generate run The --max-new-tokens 2", "evaluate run text.txt", "show run", "report run",
        "continue run text.txt --epoch 1 --compile off --save-dir next",
    )  # fmt: skip
    later = subprocess.run(
        [sys.executable, "-c", WATCHED, str(own_folder)], input="\n".join(lines),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "codes: [0, 0, 0, 0, 0]" in later.stderr, later.stderr
    for said in (done.stderr, later.stderr):
        assert not [line for line in said.splitlines() if line.startswith(("pickle:", "import:"))]
        assert "compile:" not in said


def test_no_file_of_a_run_is_a_pickle(stopped: Any) -> None:
    stopped("run", step=9, steps=(4,))
    files = [path for path in Path("run").rglob("*") if path.is_file() and path.name != ".lock"]
    assert any(path.parent.parent.name == "checkpoints" for path in files)
    for path in files:
        content = path.read_bytes()
        assert not content.startswith((b"\x80", b"PK")), f"{path}: a pickle, or one of torch.save"
        if path.suffix == ".safetensors":
            size = int.from_bytes(content[:8], "little")
            assert isinstance(json.loads(content[8 : 8 + size]), dict)
        else:
            content.decode("utf-8")


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX")
def test_folder_that_is_named_may_be_a_link_and_its_mode_stays(stopped: Any) -> None:
    stopped()
    Path("run").chmod(0o755)  # as SECURITY.md says, to share it
    Path("link").symlink_to("run")
    for _ in run_training(resume_run(Path("link"))):
        pass
    assert descend.load(Path("link")).summary.finished
    assert stat.S_IMODE(Path("run").stat().st_mode) == 0o755
    assert Path("link").is_symlink()


def test_generated_text_stays_as_it_is_when_it_goes_to_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "a\x1b[31mb\r\n\x07\u202ec"
    write_generated(text)
    assert capsys.readouterr().out == text


def test_checksums_show_damage_and_no_forgery(trained: Path, own_folder: Path) -> None:
    """What SECURITY.md leaves out of scope is so: a record that is sealed anew opens."""
    record = json.loads((trained / "summary.json").read_bytes())
    record.pop("sha256")
    record["validation_loss"] = 0.125
    shutil.copytree(trained, "run")
    Path("run/summary.json").write_bytes(seal_json(record))
    assert descend.load(Path("run")).summary.validation_loss == 0.125
