"""What `descend plan` sees of each corpus, kept so that planning can be repeated without them.

    python benchmarks/plan/samples.py TEXTS MADE OUT

TEXTS is the folder of texts, MADE one for corpora that are put together, OUT the file written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
from corpora import corpus_file

from descend.config import make_config
from descend.data.prepare import prepare_documents
from descend.planner.corpus_profile import profile_corpus

CORPORA = ("tinyshakespeare", "austen_100k", "library", "quijote", "moby_dick",
           "pride_and_prejudice", "python", "stories")  # fmt: skip
EMBEDDED = ("python", "stories")


def main() -> None:
    texts, made, out = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    samples = {}
    for name in CORPORA:
        where = name if name in EMBEDDED else str(corpus_file(name, texts, made))
        sample = profile_corpus(prepare_documents(make_config({"corpus_dir": where, "seed": 1})))
        samples[name] = msgspec.to_builtins(sample, str_keys=True)
        print(name, samples[name], flush=True)
    out.write_text(json.dumps(samples, indent=1) + "\n")


if __name__ == "__main__":
    main()
