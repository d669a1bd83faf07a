"""What rank 0 sends to the other processes before they train: all of its state, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from .group_children import run_children

WAIT_SECONDS = 240

CODE = """
import hashlib, sys
from pathlib import Path
import torch.distributed as dist
from descend.config import make_config
from descend.training.checkpoint import encode_state
from descend.training.rendezvous import join_group, receive_state, send_state
from descend.training.training_run import create_run
from tests.conftest import TINY
from tests.training.group_children import train_past_epoch

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
keys = TINY | {"corpus_dir": str(folder / "text.txt"), "threads": 1, "compile": "off"}
run = create_run(make_config(keys), folder / f"run{rank}")
if rank == 0:
    train_past_epoch(run)
with join_group(dist.FileStore(str(folder / "store"), 2), rank, 2, "cpu") as group:
    (send_state if rank == 0 else receive_state)(run.state, group)
files = dict(encode_state(run.state))
print(sorted(files), run.state.step, run.state.run_id)
print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())
"""


@pytest.mark.slow
def test_other_process_receives_all_of_the_state(text_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(text_file.read_bytes())
    printed = run_children(CODE, 2, WAIT_SECONDS, tmp_path)
    outputs = [output.splitlines()[-2:] for output in printed]
    assert outputs[0] == outputs[1]
    assert "good_state.json" in outputs[0][0]
    assert "best.safetensors" in outputs[0][0]
