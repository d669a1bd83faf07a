"""The model card: README.md of a folder with a model, as the Hugging Face hub shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from descend.data.builtin_corpora import BUILTIN_CORPORA as EMBEDDED_CORPORA
from descend.runs.epochs_read import format_epochs_read
from descend.runs.run_files import RunMetadata, RunSummary

if TYPE_CHECKING:
    from descend.model.shape import ModelShape


@dataclass(frozen=True)
class CardUsage:
    """The parts of a model card that depend on the format of the weights."""

    text: str
    """Markdown under "Use"."""
    library: str = ""
    """`library_name` of the hub; empty for a format that no library of the hub reads."""
    tags: tuple[str, ...] = ()
    files: str = ""
    """Markdown under "Files"; empty where there is nothing to say."""


TRANSFORMERS_USAGE = CardUsage(
    "```python\n"
    "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
    'folder = "."  # where this file lies\n'
    "tokenizer = AutoTokenizer.from_pretrained(folder)\n"
    "model = AutoModelForCausalLM.from_pretrained(folder)\n"
    'ids = tokenizer("Once upon a time", return_tensors="pt")\n'
    "print(tokenizer.decode(model.generate(**ids, max_new_tokens=50)[0]))\n"
    "```\n\n"
    'or `descend generate FOLDER "Once upon a time"`.',
    library="transformers",
)


def model_card(
    shape: ModelShape,
    parameters: int,
    info: RunMetadata | None,
    summary: RunSummary | None,
    usage: CardUsage | None = None,
) -> str:
    """README.md: what the model is, how it was trained, how well it does, how to use it.

    Never names or quotes the text it was trained on, unless that text came with descend.
    """
    usage = usage or TRANSFORMERS_USAGE
    tags = "".join(f"\n- {tag}" for tag in ("descend", *usage.tags))
    library = f"library_name: {usage.library}\n" if usage.library else ""
    sections = [
        f"---\n{library}pipeline_tag: text-generation\ntags:{tags}\n---",
        "# A small language model, trained with descend",
        _table(
            {
                "parameters": f"{parameters:,}",
                "architecture": shape.architecture,
                "layers": shape.num_layers,
                "width": shape.embed_dim,
                "heads": shape.num_heads,
                "feed-forward width": shape.ff_dim,
                "longest context": f"{shape.max_seq_len:,} tokens",
                "vocabulary": f"{shape.vocab_size:,} tokens",
            }
        ),
        *(["## Training", _table(_training(info, summary))] if info else []),
        *(["## On validation text", _table(_evaluation_values(summary))] if summary else []),
        *(["## Files", usage.files] if usage.files else []),
        "## Use",
        usage.text,
        "## Limits",
        "It knows the text it was trained on and nothing else, states falsehoods as fluently as "
        "facts, and may repeat passages of its training text word for word.",
    ]
    return "\n\n".join(sections) + "\n"


def _training(info: RunMetadata, summary: RunSummary | None) -> dict[str, object]:
    config, corpus = info.resolved_config, info.corpus
    # Only names that came with descend: any other may be private.
    name = corpus.get("corpus")
    own = f"the corpus `{name}` of descend" if name in EMBEDDED_CORPORA else "a text of the user"
    values: dict[str, object] = {"text": own}
    for label, source, key in [
        ("training tokens", corpus, "train_tokens"),
        ("epochs", config, "epoch"),
        ("sequences a step", config, "batch_size"),
        ("tokens a sequence", config, "seq_len"),
        ("optimizer", config, "optimizer"),
        ("schedule", config, "schedule"),
        ("learning rate", config, "learning_rate"),
        ("weight decay", config, "weight_decay"),
        ("dropout", config, "dropout_rate"),
        ("precision", info.execution, "precision"),
        ("seed", config, "seed"),
    ]:
        if source.get(key) is not None:
            values[label] = f"{source[key]:,}" if key == "train_tokens" else source[key]
    if summary and summary.epochs and "epochs" in values:  # the run may have ended before them
        values["epochs"] = (
            format_epochs_read(summary).removesuffix(" epochs").removesuffix(" epoch")
        )
    return values | {"descend": info.version}


def _evaluation_values(summary: RunSummary) -> dict[str, object]:
    values: dict[str, object] = {
        "loss": f"{summary.validation_loss:.4f} nats per token",
        "accuracy": f"{summary.validation_accuracy:.1%} of next tokens",
        "bits per byte": f"{summary.bits_per_byte:.4f}",
    }
    if len(summary.epochs) > 1:
        values["best epoch"] = f"{summary.best_epoch} of {len(summary.epochs)}"
    for name, loss in summary.ngram_baselines.items():
        values[f"loss of the {name} model"] = f"{loss:.4f} nats per token"
    for name, accuracy in summary.accuracy_baselines.items():
        values[f"accuracy of the {name} model"] = f"{accuracy:.1%} of next tokens"
    return values


def _table(values: Mapping[str, object]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {v} |" for key, v in values.items())])
