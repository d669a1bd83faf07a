"""Each script in examples/ runs on a tiny text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = {
    "own_text.py", "compare_widths.py", "own_loop.py", "search_rates.py", "several_gpus.py",
    "notebook.ipynb", "watch_own_loop.py", "watch_trainer.py", "torchrun.sh", "slurm.sh",
    "export_and_serve.py",
    "watch_accelerate.py", "stream_dataset.sh",
    "track_run.py", "check_chats.py", "continue_model.py", "diagnose_program.sh",
}  # fmt: skip


def run_python(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def tiny_text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"The fox number {n} sees {n * 7 % 90} hens.\n" for n in range(900)))
    return path


def test_every_example_is_listed_and_tested() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES.iterdir()} - {"README.md"} == SCRIPTS
    assert {name for name in SCRIPTS if f"({name})" not in listed} == set()


@pytest.mark.slow
@pytest.mark.parametrize("script", ["own_text.py", "compare_widths.py", "several_gpus.py"])
def test_example_runs(script: str, tmp_path: Path, tiny_text: Path) -> None:
    done = run_python(tmp_path, EXAMPLES / script, tiny_text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_search_example_finds_a_configuration(tmp_path: Path, tiny_text: Path) -> None:
    pytest.importorskip("optuna")
    done = run_python(tmp_path, EXAMPLES / "search_rates.py", tiny_text, "1")
    assert done.returncode == 0, done.stderr
    assert "learning_rate" in done.stdout
    assert "descend train" in done.stdout


@pytest.mark.slow
def test_notebook_example_runs(
    tmp_path: Path, tiny_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") for cell in book.cells)
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    assert 'TEXT = "stories"' in first.source
    first.source = first.source.replace('"stories"', repr(str(tiny_text)))
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(book, timeout=240, resources=resources).execute()
    outputs = "".join(str(cell.get("outputs", "")) for cell in book.cells)
    assert "the validation loss is" in outputs
    assert "learning rate" in outputs


TINY_FLAGS = (
    "--embed-dim", "16", "--num-layers", "1", "--num-heads", "2", "--ff-dim", "32",
    "--seq-len", "16", "--max-steps", "5", "--batch-size", "4", "--vocab-size", "300",
    "--compile", "off", "--device", "cpu",
)  # fmt: skip


def stand_in(folder: Path, name: str, script: str) -> None:
    """Make `name` a command in `folder` that runs the shell `script`."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
@pytest.mark.parametrize("script", ["torchrun.sh", "slurm.sh"])
def test_shell_example_trains_one_model_on_two_processes(
    script: str, tmp_path: Path, tiny_text: Path
) -> None:
    commands = tmp_path / "bin"
    stand_in(commands, "python", f'exec "{sys.executable}" "$@"')
    stand_in(commands, "scontrol", "echo localhost")  # what Slurm has, for one machine
    stand_in(commands, "srun", 'exec "$@"')
    environment = os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_NUM_NODES": "1", "SLURM_GPUS_ON_NODE": "2",
    }  # fmt: skip
    count = ["2"] if script == "torchrun.sh" else []
    done = subprocess.run(
        ["bash", str(EXAMPLES / script), str(tiny_text), "model", *count, *TINY_FLAGS],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr
    assert (tmp_path / "model" / "model.safetensors").exists()


@pytest.mark.slow
def test_own_loop_has_no_bug(tmp_path: Path) -> None:
    done = run_python(tmp_path, "-m", "descend", "check", EXAMPLES / "own_loop.py")
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "package"),
    [
        ("watch_own_loop.py", "torch"),
        ("watch_trainer.py", "accelerate"),
        ("watch_accelerate.py", "accelerate"),
    ],
)
def test_watched_example_leaves_a_run_that_diagnose_reads(
    script: str, package: str, tmp_path: Path
) -> None:
    pytest.importorskip(package)
    done = run_python(tmp_path, EXAMPLES / script)
    assert done.returncode == 0, done.stderr
    command = done.stdout.strip().splitlines()[-1].removeprefix("Next: descend ").split()
    answer = run_python(tmp_path, "-m", "descend", *command)
    assert answer.returncode == 0, (answer.stdout, answer.stderr)
    assert "steps, loss" in answer.stdout


@pytest.mark.slow
def test_stream_dataset_example_trains_on_a_named_data_set(tmp_path: Path, tiny_text: Path) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [json.dumps({"text": line}) for line in tiny_text.read_text().splitlines()]
    (folder / "train.jsonl").write_text("\n".join(rows))
    commands = tmp_path / "bin"
    stand_in(commands, "descend", f'exec "{sys.executable}" -m descend "$@"')
    environment = os.environ | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    script = ["sh", str(EXAMPLES / "stream_dataset.sh"), str(folder), "800", *TINY_FLAGS]
    done = subprocess.run(
        script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "800 documents" in done.stderr


@pytest.mark.slow
def test_export_and_serve_example_answers(trained: Path, tmp_path: Path) -> None:
    for package in ("gguf", "openai", "starlette"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    done = run_python(tmp_path, EXAMPLES / "export_and_serve.py", trained)
    assert done.returncode == 0, done.stderr
    file, answer = done.stdout.split("\n", 1)
    assert Path(file.removeprefix("For llama.cpp: ")).is_file()
    assert answer.startswith("The")


@pytest.mark.slow
def test_track_run_example_writes_event_files(tmp_path: Path, tiny_text: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    done = run_python(tmp_path, EXAMPLES / "track_run.py", tiny_text)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "models" / "tracked" / "tensorboard").glob("events.*"))


@pytest.mark.slow
def test_check_chats_example_lists_lines(tmp_path: Path) -> None:
    data = tmp_path / "chats.jsonl"
    record = '{"messages": [{"role": "user", "content": "Hi"}]}\n'
    data.write_text(record)
    done = run_python(tmp_path, EXAMPLES / "check_chats.py", data)
    assert "mixed_roles in lines [1]" in done.stdout, done.stderr


@pytest.mark.slow
def test_continue_example_trains_a_llama_folder(tmp_path: Path, tiny_text: Path) -> None:
    pytest.importorskip("transformers")
    from .model.llama_folders import VARIANTS, write_folder

    folder = write_folder(tmp_path / "llama", VARIANTS["llama"])
    done = run_python(tmp_path, EXAMPLES / "continue_model.py", folder, tiny_text, "4")
    assert done.returncode == 0, done.stderr
    assert " before, " in done.stdout


@pytest.mark.slow
def test_program_example_diagnoses_a_sound_program(tmp_path: Path) -> None:
    from .program_trials.programs import REGRESSION

    (tmp_path / "train.py").write_text(REGRESSION)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", str(EXAMPLES / "diagnose_program.sh"), "train.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "No problem found by these trials" in done.stdout
