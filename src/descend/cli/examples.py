"""Two examples a verb, shown at the end of its help; a test parses each of them."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, str]] = {
    "": ("descend train my/texts --minutes 10", "descend diagnose latest"),
    "train": (
        "descend train my/texts --minutes 10",
        "descend train --from-run latest --apply-fix",
    ),
    "continue": (
        "descend continue latest --epoch 5 --learning-rate 0.0005",
        "descend continue models/first other/texts --save-dir models/second",
    ),
    "resume": ("descend resume latest", "descend resume models/first --json"),
    "plan": (
        "descend plan my/texts --minutes 10",
        "descend plan my/texts --target-bits-per-byte 2.1 --run",
    ),
    "corpus": (
        "descend corpus add notes/ papers/ my-corpus --extensions .md,.pdf",
        "descend corpus stats my/texts",
    ),
    "corpus add": (
        "descend corpus add notes/ papers/ my-corpus --extensions .md,.pdf",
        "descend corpus add book.txt my-corpus --deduplicate near",
    ),
    "corpus stats": (
        "descend corpus stats my/texts",
        "descend corpus stats python --vocab-size 1000",
    ),
    "tokenizer": (
        "descend tokenizer train my/texts tokenizer.json",
        "descend tokenizer train my/texts characters.json --tokenizer char",
    ),
    "tokenizer train": (
        "descend tokenizer train my/texts tokenizer.json --vocab-size 4096",
        "descend tokenizer train my/texts characters.json --tokenizer char",
    ),
    "generate": (
        'descend generate latest "Once upon a time"',
        'descend generate latest "The sea" --max-new-tokens 200 --temperature 0.7',
    ),
    "chat": ("descend chat latest", "descend chat models/first --temperature 0.7 --seed 1"),
    "evaluate": (
        "descend evaluate latest other/texts",
        "descend evaluate models/first stories --json",
    ),
    "export": (
        "descend export latest --to gguf",
        "descend export models/first --to gguf --type q8_0 --output first-gguf",
    ),
    "push": (
        "descend push latest my-name/my-model",
        "descend push models/first my-name/my-model --public",
    ),
    "serve": ("descend serve latest", "descend serve models/first --port 8080"),
    "show": ("descend show latest", "descend show models/first --json"),
    "list": ("descend list", "descend list experiments/"),
    "studio": ("descend studio", "descend studio my/project --port 8800"),
    "report": ("descend report latest", "descend report models/first --output first.html"),
    "diagnose": (
        "descend diagnose latest",
        "descend diagnose train.log --vocab-size 50257",
    ),
    "improve": (
        "descend improve latest --minutes 10",
        "descend improve my/texts --minutes 30 --save-dir models/best",
    ),
    "checklist": ("descend checklist latest", "descend checklist models/first --json"),
    "check": (
        "descend check my_training.py",
        "descend check chats.jsonl --tokenizer my-model",
    ),
    "forecast": ("descend forecast latest", "descend forecast latest --epochs 5"),
    "compare": (
        "descend compare my/texts --vary embed_dim=128,256 --num-seeds 3",
        "descend compare models/first models/second",
    ),
    "attribute": (
        "descend attribute old guide my/texts --max-runs 128",
        "descend attribute models/first models/second --num-seeds 5",
    ),
    "search": (
        "descend search my/texts --minutes 30",
        "descend search my/texts --space learning_rate=0.0003..0.01",
    ),
    "learn": ("descend learn", "descend learn rate --text my/texts --prediction 2"),
    "explain": ("descend explain learning_rate", "descend explain overfitting --run latest"),
    "config": ("descend config show --preset guide", "descend config presets"),
    "config show": (
        "descend config show --preset guide",
        "descend config show --config my.toml --json",
    ),
    "env": ("descend env", "descend env --json"),
    "config presets": ("descend config presets", "descend config presets --json"),
}
