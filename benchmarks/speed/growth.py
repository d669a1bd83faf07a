"""What a larger text and a larger model cost: seconds and peak memory, a process a size.

    python benchmarks/speed/growth.py RESULTS TEXT... [--megabytes 1,10,100] [--widths 128,256,512]
                                      [--documents one,many] [--busy]

The text is that of all TEXTs over and over with the words of each copy's lines in another order and
the letters of one word in fifty too, so that it is not the same text again and has ever more
different words. It is one document (.txt), or many of about a kilobyte (.jsonl). Each size is
prepared from nothing (read, split, tokenizer of 4,096, encoded, baselines) and then trained for
`STEPS` steps of the guide's model. Widths: the guide's model made wider, on random tokens
(`compared_programs.py`).

Memory is looked at every `WATCH_SECONDS`: what the process holds of its own (anonymous), and that
with the pages of mapped files, which the system may drop.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from descend.machine import available_cores, cpu_name, package_versions

STEPS = 20
WATCH_SECONDS = 0.02
NEW_WORDS = 0.02
DOCUMENT_CHARACTERS = 1000


@contextmanager
def watched(stage: str, result: dict[str, float]) -> Iterator[None]:
    """Seconds of a stage and the most memory it took, in MB, into `found`."""
    done = threading.Event()
    peak = {"RssAnon": 0, "VmRSS": 0}

    def watch() -> None:
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in peak:
                    peak[name] = max(peak[name], int(value.split()[0]))
            if done.wait(WATCH_SECONDS):
                return

    thread = threading.Thread(target=watch)
    thread.start()
    began = time.perf_counter()
    try:
        yield
    finally:
        result[f"{stage}_seconds"] = round(time.perf_counter() - began, 3)
        done.set()
        thread.join()
        result[f"{stage}_anonymous_megabytes"] = round(peak["RssAnon"] / 1024, 1)
        result[f"{stage}_megabytes"] = round(peak["VmRSS"] / 1024, 1)


def one(text: str) -> dict[str, float]:
    """Prepare and train on `text` here: seconds and memory of each stage."""
    from descend.config import make_config
    from descend.data.prepare import prepare_documents, prepare_tokenizer, prepare_tokens
    from descend.training.loop import train
    from descend.training.training_run import create_run

    # So short that it is never compiled, which costs memory of its own whatever the text.
    settings = {"corpus_dir": text, "vocab_size": 4096, "max_steps": STEPS + 1}
    config = make_config(settings)
    result: dict[str, float] = {"megabytes": Path(text).stat().st_size / 1e6}
    with watched("reading", result):
        prepared = prepare_documents(config)
    with watched("tokenizer", result):
        tokenizer = prepare_tokenizer(prepared, "bpe", 4096)
    with watched("tokens", result):
        prepare_tokens(prepared, tokenizer)
    result["documents"] = len(prepared.documents)
    del prepared, tokenizer
    with watched("job", result):
        run = create_run(config, Path("unused"))
    with watched("training", result):
        for number, _ in enumerate(train(run.state, run.plan), 1):
            if number == STEPS:
                break
    return result


def write_text(sources: list[str], path: Path, megabytes: float, many: bool) -> None:
    """About so many megabytes made of `sources`."""
    lines = [line.split() for source in sources for line in source.splitlines()]
    shuffled = random.Random(0)
    left = megabytes * 1e6
    first = True
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            pieces: list[str] = []
            num_characters = 0
            for words in lines:
                if not first:
                    shuffled.shuffle(words)
                    if words and shuffled.random() < NEW_WORDS * len(words):
                        words = [_scrambled(words[0], shuffled), *words[1:]]
                pieces.append(" ".join(words) + "\n")
                num_characters += len(pieces[-1])
                if num_characters < DOCUMENT_CHARACTERS:
                    continue
                text = "".join(pieces)
                text = json.dumps({"text": text}, ensure_ascii=False) + "\n" if many else text
                file.write(text)
                left -= len(text.encode())
                pieces, num_characters = [], 0
                if left <= 0:
                    break
            first = False


def _scrambled(word: str, shuffled: random.Random) -> str:
    return "".join(shuffled.sample(word, len(word)))


def main() -> None:
    if sys.argv[1] == "--one":
        print(json.dumps(one(sys.argv[2])))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--megabytes", default="1,10,100")
    parser.add_argument("--documents", default="one,many")
    parser.add_argument("--widths", default="128,256,512")
    parser.add_argument("--busy", action="store_true", help="Other programs run beside it.")
    settings = parser.parse_args()
    corpora, models = [], []
    sources = [text.read_text(encoding="utf-8") for text in settings.texts]
    for megabytes in filter(None, settings.megabytes.split(",")):
        for documents in filter(None, settings.documents.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                many = documents == "many"
                text = Path(folder) / ("text.jsonl" if many else "text.txt")
                write_text(sources, text, float(megabytes), many)
                result = _child([__file__, "--one", str(text)], Path(folder))
                corpora.append(result | {"at_rest": not settings.busy})
                print(corpora[-1], flush=True)
    for width in filter(None, settings.widths.split(",")):
        program = Path(__file__).with_name("compared_programs.py")
        result = _child([str(program), "descend", f"width {width}", "5"], None)
        models.append({"width": int(width)} | result)
        print(models[-1], flush=True)
    file = settings.results / "growth.json"
    names = " ".join(text.name for text in settings.texts)
    before = json.loads(file.read_text()) if file.exists() else {"corpora": [], "models": []}
    record = {
        "command": f"python benchmarks/speed/growth.py RESULTS {names}",
        "machine": {
            "processor": cpu_name(),
            "cores": available_cores(),
            "versions": package_versions(),
        },
        "corpora": before["corpora"] + corpora,
        "models": before["models"] + models,
    }
    settings.results.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n")


def _child(command: list[str], cache: Path | None) -> dict[str, Any]:
    environment = os.environ | ({"DESCEND_CACHE_DIR": str(cache / "cache")} if cache else {})
    done = subprocess.run(
        [sys.executable, *command], check=True, capture_output=True, text=True, env=environment
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
