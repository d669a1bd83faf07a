"""Makes the folders that a released schema wrote, for `tests/runs/test_stored_folders.py`.

    python tests/runs/stored_folders/make.py schema_N.tar.xz

Run it once with the code of a schema before that is changed, and never again: the archive stays.
"""

from __future__ import annotations

import os
import signal
import sys
import tarfile
import tempfile
from pathlib import Path

from descend.cli.main import run as run_command
from descend.config import make_config
from descend.runs.annotation import RunAnnotation, write_annotation
from descend.runs.events import Step
from descend.training.checkpoint import save_checkpoint
from descend.training.stop_signals import TrainingInterrupted
from descend.training.trainer import run_training
from descend.training.training_run import create_run

CONFIG = {
    "corpus_dir": "stories", "sample_size": 30, "tokenizer": "byte", "vocab_size": None,
    "embed_dim": 8, "num_heads": 2, "num_layers": 1, "ff_dim": 16, "max_seq_len": 32, "seq_len": 16,
    "batch_size": 16, "max_steps": 40, "precision": "float32", "optimizer": "adamw", "threads": 1,
    "compile": "off", "divergence_rollback": "off",
}  # fmt: skip
STOP = 30


def main() -> None:
    """Write the archive."""
    archive = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["DESCEND_CACHE_DIR"] = f"{temporary}/cache"
        os.chdir(temporary)
        for _ in run_training(create_run(make_config(CONFIG), Path("finished"))):
            pass
        write_annotation(Path("finished"), RunAnnotation(["good"], "a note"))
        if run_command(["diagnose", "finished", "--no-trials"]) != 0:
            sys.exit("the run could not be diagnosed")
        stopped = create_run(make_config(CONFIG), Path("stopped"))
        try:
            for record in run_training(stopped):
                if isinstance(record, Step) and record.step == STOP - 5:
                    save_checkpoint(stopped.folder, stopped.state)
                if isinstance(record, Step) and record.step == STOP:
                    signal.raise_signal(signal.SIGINT)
        except TrainingInterrupted:
            pass
        flags = ["--vary", "learning_rate=0.01,0.001", "--num-seeds", "2", "--budget", "4",
                 "--budget-unit", "steps"]  # fmt: skip
        keys = [f"--{k.replace('_', '-')}={v}" for k, v in CONFIG.items()
                if k not in ("corpus_dir", "max_steps", "vocab_size")]  # fmt: skip
        if run_command(["compare", "stories", *flags, *keys, "--save-dir", "comparison"]) != 0:
            sys.exit("nothing could be compared")
        with tarfile.open(archive, "w:xz") as tar:
            for name in ("finished", "stopped", "comparison"):
                tar.add(name, filter=anonymous)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave locks out, and who made the file and when."""
    if member.name.endswith(".lock"):
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
