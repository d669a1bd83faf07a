"""What a larger text and a larger model cost: seconds and peak memory, a process a size.

    python benchmarks/speed/growth.py RESULTS TEXT [--megabytes 1,10,100] [--widths 128,256,512]

The text is TEXT over and over with the words of each copy's lines in another order, so that it is
not the same text again. Each size is prepared from nothing (read, split, tokenizer of 4,096,
encoded, baselines) and then trained for `STEPS` steps of the guide's model. Widths: the guide's
model made wider, on random tokens (`contestants.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from descend.machine import cores, processor, versions

STEPS = 20


def one(text: str) -> dict[str, float]:
    """Prepare and train on `text` here; seconds of each stage in MB/s where it reads text."""
    from descend.config import make_config
    from descend.text.store import prepare_text, prepare_tokenizer, prepare_tokens
    from descend.training.job import new_job
    from descend.training.loop import train

    config = make_config({"corpus_dir": text, "vocab_size": 4096, "epoch": 1})
    megabytes = Path(text).stat().st_size / 1e6
    marks = [time.perf_counter()]
    prepared = prepare_text(config)
    marks.append(time.perf_counter())
    tokenizer = prepare_tokenizer(prepared, "bpe", 4096)
    marks.append(time.perf_counter())
    prepare_tokens(prepared, tokenizer)
    marks.append(time.perf_counter())
    job = new_job(config, Path("unused"))
    for number, _ in enumerate(train(job.state, job.course), 1):
        if number == STEPS:
            break
    return {
        "megabytes": megabytes,
        "reading": marks[1] - marks[0],
        "tokenizer_training": marks[2] - marks[1],
        "encoding_and_baselines": marks[3] - marks[2],
        "seconds_per_step": job.state.seconds / STEPS,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def write_text(source: str, path: Path, megabytes: float) -> None:
    """About so many megabytes made of `source`."""
    lines = source.splitlines()
    shuffled = random.Random(0)
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            for line in lines:
                words = line.split()
                if written:
                    shuffled.shuffle(words)
                written += file.write(" ".join(words) + "\n")
                if written >= megabytes * 1e6:
                    break


def main() -> None:
    if sys.argv[1] == "--one":
        print(json.dumps(one(sys.argv[2])))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--megabytes", default="1,10,100")
    parser.add_argument("--widths", default="128,256,512")
    asked = parser.parse_args()
    corpora, models = [], []
    for megabytes in filter(None, asked.megabytes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / "text.txt"
            write_text(asked.text.read_text(encoding="utf-8"), text, float(megabytes))
            corpora.append(_child([__file__, "--one", str(text)], Path(folder)))
            print(corpora[-1], flush=True)
    for width in filter(None, asked.widths.split(",")):
        contestants = Path(__file__).with_name("contestants.py")
        found = _child([str(contestants), "descend", f"width {width}", "5"], None)
        models.append({"width": int(width)} | found)
        print(models[-1], flush=True)
    file = asked.results / "growth.json"
    before = json.loads(file.read_text()) if file.exists() else {"corpora": [], "models": []}
    record = {
        "command": f"python benchmarks/speed/growth.py RESULTS {asked.text.name}",
        "machine": {"processor": processor(), "cores": cores(), "versions": versions()},
        "corpora": before["corpora"] + corpora,
        "models": before["models"] + models,
    }
    asked.results.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n")


def _child(command: list[str], cache: Path | None) -> dict[str, Any]:
    environment = os.environ | ({"DESCEND_CACHE_DIR": str(cache / "cache")} if cache else {})
    done = subprocess.run(
        [sys.executable, *command], check=True, capture_output=True, text=True, env=environment
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
