"""What rank 0 sends to the other processes before they train: all of its state, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WAIT_SECONDS = 240

CODE = """
import hashlib, sys
from pathlib import Path
import torch.distributed as dist
from descend.config import make_config
from descend.runs.events import Epoch
from descend.training.checkpoint import encode_state
from descend.training.loop import train
from descend.training.rendezvous import join_group, receive_state, send_state
from descend.training.training_run import create_run
from tests.conftest import TINY

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
keys = TINY | {"corpus_dir": str(folder / "text.txt"), "threads": 1, "compile": "off"}
run = create_run(make_config(keys), folder / f"run{rank}")
if rank == 0:  # past an epoch: there are best weights, and others of the state to go back to
    more = None
    for records in train(run.state, run.plan):
        more = more - 1 if more else more
        if any(isinstance(record, Epoch) for record in records):
            more = 4
        if more == 1:
            break
    assert run.state.best is not None
    assert run.state.rollback_snapshot is not None
with join_group(dist.FileStore(str(folder / "store"), 2), rank, 2, "cpu") as group:
    (send_state if rank == 0 else receive_state)(run.state, group)
files = dict(encode_state(run.state))
print(sorted(files), run.state.step, run.state.run_id)
print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
"""


@pytest.mark.slow
def test_other_process_receives_all_of_the_state(text_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(text_file.read_bytes())
    root = Path(__file__).parents[2]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(rank), str(tmp_path)], cwd=root,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    outputs = []
    for process in both:
        output, error = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0, error
        outputs.append(output.splitlines()[-2:])
    assert outputs[0] == outputs[1]
    assert "good_state.json" in outputs[0][0]
    assert "best.safetensors" in outputs[0][0]
