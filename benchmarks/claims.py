"""The audit of the guide's claims: each is an experiment, each can be repeated alone.

    python benchmarks/claims.py RESULTS TEXTS [NAME …]

TEXTS is the folder of tinyshakespeare.txt and moby_dick.txt. Runs made before come from the cache,
so the audit can be stopped and taken up; without NAME all experiments are made, cheap ones first.
docs/claims.md says what came of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiment import keep

# The student's first configuration on as many tokens as two cores can pay for many times over;
# only in the experiment on rates is the rate itself varied, else it is the guide's 0.001.
OLD = ("--preset", "old", "--budget", "65536", "--eval-tokens", "8192", "--num-seeds", "3")
AT_RATE = (*OLD, "--learning-rate", "0.001")

EXPERIMENTS: dict[str, tuple[str, ...]] = {
    "compare/rates": ("compare", *OLD, "--vary", "learning_rate=0.0003,0.001,0.01"),
    "compare/batches": ("compare", *AT_RATE, "--vary", "batch_size=4,16,128"),
    "compare/contexts": ("compare", *AT_RATE, "--vary", "seq_len=32,128"),
    "compare/warmup": ("compare", *AT_RATE, "--vary", "warmup_steps=0,100"),
    "compare/clipping": ("compare", *AT_RATE, "--vary", "gradient_clip=0,1"),
    "compare/smoothing": ("compare", *AT_RATE, "--vary", "label_smoothing=0,0.1"),
    # The guide's claim, from little text to all of it: on how much does it turn? Three orders
    # of its seven changes are 22 runs, ten are 64.
    **{
        f"attribute/old_guide_{share}": ("attribute", "old", "guide", "--max-runs", runs,
                                         "--train-fraction", share)
        for share, runs in (("0.02", "22"), ("0.05", "64"), ("0.2", "22"), ("1.0", "22"))
    },
}  # fmt: skip
TEXTS = {"compare": ("tinyshakespeare",), "attribute": ("tinyshakespeare", "moby_dick")}


def main() -> None:
    results, texts, *names = sys.argv[1:]
    for name in names or EXPERIMENTS:
        verb, *arguments = EXPERIMENTS[name]
        for text in TEXTS[verb]:
            file = str(Path(texts).absolute() / f"{text}.txt")
            place = arguments.index("guide") + 1 if verb == "attribute" else 0
            end = f"_{text}" if len(TEXTS[verb]) > 1 else ""
            keep(results, name + end, verb, [*arguments[:place], file, *arguments[place:]])


if __name__ == "__main__":
    main()
