"""Diagnose published training programs with planted faults, by paired trials of their flags.

    python benchmarks/program_trials.py PROGRAM FOLDER OUT [CASE…]

FOLDER is a checkout of the program, with its data prepared. For each case the command with the
fault is given to `descend diagnose --program`. OUT is a JSON file, to which each case is added.
The sizes are tiny: a trial takes a few seconds of one core.

nanogpt: https://github.com/karpathy/nanoGPT, after `python data/shakespeare_char/prepare.py` on
the first 300 kB of its text.

run_clm: examples/pytorch/language-modeling/run_clm.py of transformers, with a text `train.txt`, the
folder `tok` of a tokenizer of 320 tokens, and the metric `accuracy` of the hub.

litgpt: https://github.com/Lightning-AI/litgpt, installed, with TORCHDYNAMO_DISABLE=1, a folder
`text` of two files, and the folder `tok`. Only the flag of the planted fault is tried. It has no
flag for dropout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOUND = {"rate": 0.003, "factor": 1.0, "batch": 8, "layers": 2, "dropout": 0.0, "steps": 300,
         "times": 1}  # fmt: skip

CASES: dict[str, tuple[str, dict[str, float]]] = {
    "sound": ("healthy", {}),
    "rate_times_30": ("learning_rate_too_high", {"factor": 30}),
    "rate_over_30": ("learning_rate_too_low", {"factor": 1 / 30}),
    "dropout_0.7": ("over_regularized", {"dropout": 0.7}),
    "batch_1": ("batch_too_small", {"batch": 1, "times": 8}),  # the same text
    "one_layer": ("model_too_small", {"layers": 1}),
}
"""What is planted, and the settings that plant it; `factor` is of the learning rate, `times` of the
steps."""
PLANTED_KEYS = {"batch_1": "batch_size", "one_layer": "num_layers", "dropout_0.7": "dropout_rate"}
"""The setting that a case plants; `learning_rate` in the others."""
TRIAL_KEYS = ("max_tokens", "max_steps", "seed")

PROGRAMS: dict[str, dict[str, Any]] = {
    "nanogpt": {
        "command": "python train.py config/train_shakespeare_char.py --device=cpu --compile=False"
        " --eval_iters=20 --eval_interval={steps} --log_interval=1000 --block_size=32"
        " --batch_size={batch} --n_layer={layers} --n_head=2 --n_embd=32 --max_iters={steps}"
        " --lr_decay_iters={steps} --warmup_iters={warmup} --dropout={dropout}"
        " --learning_rate={rate} --min_lr={min_rate}",
        "metric": "val loss",
        "maps": [
            "learning_rate=--learning_rate,--min_lr", "batch_size=--batch_size",
            "num_layers=--n_layer", "dropout_rate=--dropout",
            "max_steps=--max_iters,--lr_decay_iters,--eval_interval,--warmup_iters",
        ],
    },
    "run_clm": {
        "command": "python run_clm.py --model_type gpt2 --config_overrides"
        " n_embd=32,n_layer={layers},n_head=2,n_positions=64,vocab_size=320,attn_pdrop={dropout},"
        "resid_pdrop={dropout},embd_pdrop={dropout} --tokenizer_name tok --train_file train.txt"
        " --validation_split_percentage 10 --block_size 32 --do_train --do_eval"
        " --per_device_train_batch_size {batch} --per_device_eval_batch_size 64"
        " --learning_rate {rate} --max_steps {steps} --warmup_steps {warmup} --save_strategy no"
        " --report_to none --use_cpu --seed 1 --output_dir out",
        "metric": "eval_loss",
        "maps": [
            "learning_rate=--learning_rate", "batch_size=--per_device_train_batch_size",
            "num_layers=n_layer", "dropout_rate=attn_pdrop,resid_pdrop,embd_pdrop",
            "max_steps=--max_steps,--warmup_steps", "seed=--seed",
        ],
    },
    "litgpt": {
        "command": "litgpt pretrain pythia-14m --model_config.name=tiny"
        " --model_config.n_layer={layers} --model_config.n_head=2 --model_config.n_embd=32"
        " --model_config.block_size=32 --model_config.padded_vocab_size=320 --tokenizer_dir=tok"
        " --data=TextFiles --data.train_data_path=text --data.num_workers=0"
        " --train.global_batch_size={batch} --train.micro_batch_size={batch}"
        " --train.max_tokens={tokens} --train.lr_warmup_steps={warmup} --train.min_lr={min_rate}"
        " --train.log_interval=1000 --eval.interval=100000 --eval.max_iters=10"
        " --eval.final_validation=true --seed=1 --precision=32-true --logger_name=csv --out_dir=out"
        """ --optimizer='{{"class_path":"torch.optim.AdamW","init_args":{{"lr":{rate}}}}}'""",
        "metric": "val loss",
        "maps": [
            "learning_rate=lr,--train.min_lr", "num_layers=--model_config.n_layer",
            "batch_size=--train.global_batch_size,--train.micro_batch_size",
            "max_tokens=--train.max_tokens", "seed=--seed",
        ],
        "one_flag": True,
        "settings": {"rate": 0.03, "steps": 60},
        "options": ["--seeds", "2"],
    },
}  # fmt: skip


def diagnose(program: dict[str, Any], folder: Path, case: str) -> dict[str, Any]:
    """Return what `descend diagnose --program --json` says of the program with the fault of
    `case`."""
    values = SOUND | program.get("settings", {}) | CASES[case][1]
    values["steps"] *= values["times"]
    values["rate"] *= values["factor"]
    values |= {"min_rate": values["rate"] / 10, "warmup": int(values["steps"] // 15)}
    values["tokens"] = int(values["steps"] * values["batch"] * 32)
    command = program["command"].format(**values)
    words = [sys.executable, "-m", "descend", "diagnose", "--program", command,
             "--metric", program["metric"], "--json", *program.get("options", ())]  # fmt: skip
    tried = (PLANTED_KEYS.get(case, "learning_rate"), *TRIAL_KEYS)
    for mapping in program["maps"]:
        if not program.get("one_flag") or mapping.split("=")[0] in tried:
            words += ["--map", mapping]
    source = str(Path(__file__).parents[1] / "src")
    environment = os.environ | {"PYTHONPATH": source}
    done = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return {"command": command, **json.loads(done.stdout)}


def summarize(truth: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Keep of a diagnosis what fits into a few lines."""
    effects = {}
    for effect in answer["effects"]:
        interval = effect["loss_reduction"]
        name = effect["treatment"]["description"]
        ends = interval and [interval[key] for key in ("value", "low", "high")]
        effects[name] = ends and [end if end is None else round(end, 3) for end in ends]
    return {
        "planted": truth, "verdict": answer["verdict"], "loss": answer["loss"],
        "command": answer["command"], "reason": answer["reason"], "effects": effects,
        "trials": sum(len(e["trials"]) for e in answer["effects"]) + len(answer["controls"]),
    }  # fmt: skip


def main() -> None:
    """Diagnose the cases of the command line, or all."""
    name, folder, out, *chosen = sys.argv[1:]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True
    )
    results: dict[str, Any] = {"program": name, "commit": commit.stdout.strip(), "cases": {}}
    if Path(out).exists():
        results = json.loads(Path(out).read_text())
    for case in chosen or CASES:
        print(time.strftime("%H:%M:%S"), case, file=sys.stderr)
        answer = diagnose(PROGRAMS[name], Path(folder), case)
        results["cases"][case] = summarize(CASES[case][0], answer)
        Path(out).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
