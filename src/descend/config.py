"""What a run is asked to be: `RunConfig`, one flat frozen record.

Each key stands once, here, with default, bounds, unit and one sentence. Command-line
flags, configuration files, error messages and the reference table are made from it.
A key that is `None` is left open: the recipe fills it in from the size of the text
(`training/recipe.py`) and says so; what the user sets is obeyed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from descend.config_errors import config_conflict, translate_validation_error

LearningRate = Annotated[float, Field(gt=0, le=10)]

MAX_THREADS = 1024
"""Of a number beyond what the system can start, OpenMP ends the process without a word of ours."""


def _parse_learning_rate(value: object) -> object:
    """Accept `1:1e-4,2:1e-3` (a flag) and string keys or numbers (TOML, JSON, YAML)."""
    if isinstance(value, str) and ":" in value:
        try:
            return {int(k): float(v) for k, v in (part.split(":") for part in value.split(","))}
        except ValueError:
            return value
    if isinstance(value, Mapping):
        return {int(k) if isinstance(k, str) and k.isdigit() else k: v for k, v in value.items()}
    return value


def _parse_on_off(value: object) -> object:
    """Accept what YAML makes of the words `on` and `off`, and TOML's and JSON's own for them."""
    return ("off", "on")[value] if isinstance(value, bool) else value


def _config_field(default: Any, sentence: str, *, group: str, **bounds: Any) -> Any:
    return Field(default, description=sentence, json_schema_extra={"group": group}, **bounds)


class RunConfig(BaseModel):
    """All that decides what a run learns, in the words of the guide.

    Raises `ConfigError` through `make_config`; building it directly raises pydantic's
    own `ValidationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # The text.
    corpus_dir: str | None = _config_field(
        None,
        "A folder, a file, - for standard input, or an embedded corpus (python, stories); "
        "left open: python.",
        group="Text",
    )
    sample_size: int | None = _config_field(
        None, "How many documents to take, at random; left open: all.", group="Text", ge=1
    )
    encoding: str | None = _config_field(
        None, "Encoding of text files; left open: UTF-8, else guessed.", group="Text"
    )
    text_column: str | None = _config_field(
        None, "Columns or keys with the text; left open: by name and length.", group="Text"
    )
    split: str | None = _config_field(
        None, "Split of a data set to read; left open: all.", group="Text"
    )
    validation_fraction: float = _config_field(
        0.1, "Share of the text held out to judge the model.", group="Text", ge=0.01, le=0.5
    )
    normalize: Literal["none", "nfc"] = _config_field(
        "none", "Unicode normalisation of the text before anything else.", group="Text"
    )
    tokenizer: Literal["bpe", "char", "byte"] = _config_field(
        "bpe", "How text becomes tokens: learned pieces, characters, or bytes.", group="Text"
    )
    vocab_size: int | None = _config_field(
        None,
        "Number of different tokens (bpe); left open: chosen by the size of the text, "
        "4096 in the guide.",
        group="Text",
        ge=257,
        le=1_000_000,
    )
    vocab_path: str | None = _config_field(
        None, "A tokenizer.json to use instead of training a tokenizer.", group="Text"
    )

    # The model.
    architecture: Literal["gpt", "modern"] = _config_field(
        "modern", "gpt: the guide's GPT-2; modern: what learns fastest.", group="Model"
    )
    embed_dim: int = _config_field(
        256, "Width of the model: numbers per token.", group="Model", ge=8, le=16384
    )
    num_heads: int = _config_field(
        4, "Attention heads; must divide embed_dim (guide: 8).", group="Model", ge=1, le=256
    )
    num_layers: int = _config_field(
        4, "Transformer blocks on top of each other.", group="Model", ge=1, le=256
    )
    ff_dim: int = _config_field(
        1024, "Width of the feed-forward layer in each block.", group="Model", ge=8, le=65536
    )
    max_seq_len: int = _config_field(
        256, "Longest context the model can ever read, in tokens.", group="Model", ge=2, le=131072
    )
    dropout_rate: float = _config_field(
        0.0, "Share of activations dropped in training (guide: 0.1).", group="Model", ge=0, lt=1
    )
    token_dropout: float | None = _config_field(
        None,
        "Share of input tokens hidden in training; left open: the more passes, the more.",
        group="Model",
        ge=0,
        lt=1,
    )

    # The training.
    batch_size: int = _config_field(
        16, "Sequences per training step.", group="Training", ge=1, le=65536
    )
    seq_len: int = _config_field(
        128, "Tokens per training sequence; at most max_seq_len.", group="Training", ge=2, le=131072
    )
    epoch: int | None = Field(
        None,
        description="Passes over the training text; left open: chosen by the size of the text, "
        "10 in the guide.",
        json_schema_extra={"group": "Training"},
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("epoch", "epochs"),
    )
    max_steps: int | None = _config_field(
        None,
        "Updates after which training ends, whatever epoch says; left open: as epoch says.",
        group="Training",
        ge=1,
        le=10**9,
    )
    minutes: float | None = _config_field(
        None,
        "Minutes from the start to the saved model. What is not set is planned for them. "
        "Not set: as long as epoch or max_steps says.",
        group="Training",
        gt=0,
        le=60 * 24 * 365,
    )
    learning_rate: Annotated[
        LearningRate | dict[Annotated[int, Field(ge=1)], LearningRate],
        BeforeValidator(_parse_learning_rate),
    ] = _config_field(
        0.001,
        "Size of a step, a number such as 0.001; or a rate per epoch, such as 1:1e-4,2:1e-3.",
        group="Training",
    )
    optimizer: Literal["adamw", "muon"] = _config_field(
        "muon", "What turns gradients into steps.", group="Training"
    )
    schedule: Literal["constant", "linear", "cosine", "wsd", "piecewise"] = _config_field(
        "wsd", "How the rate changes over the run.", group="Training"
    )
    warmup_steps: int | None = _config_field(
        None,
        "Steps in which the rate rises from 0; left open: 5 % of the run.",
        group="Training",
        ge=0,
    )
    weight_decay: float = _config_field(
        0.1, "Pull of the matrices towards zero, times the rate.", group="Training", ge=0, le=10
    )
    gradient_clip: float = _config_field(
        1.0, "Largest gradient norm let through; 0: no clipping.", group="Training", ge=0, le=1e6
    )
    label_smoothing: float = _config_field(
        0.0,
        "Probability given to all tokens alike in the training loss.",
        group="Training",
        ge=0,
        lt=1,
    )
    gradient_accumulation_steps: int | None = _config_field(
        None,
        "Parts a batch is computed in, one after the other; left open: as few as fit into memory.",
        group="Training",
        ge=1,
    )
    activation_checkpointing: bool = _config_field(
        False, "Recompute activations in the backward pass to save memory.", group="Training"
    )
    divergence_rollback: Annotated[Literal["on", "off"], BeforeValidator(_parse_on_off)] = (
        _config_field(
            "on",
            "on: a run whose numbers run away goes back and tries one change after the other.",
            group="Training",
        )
    )
    seed: int = _config_field(
        42,
        "Decides initial weights, the split and the order of the data.",
        group="Training",
        ge=0,
        le=2**63 - 1,
    )

    # The machine.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = _config_field(
        "auto", "Number format of the matrix products; auto: what is fastest here.", group="Machine"
    )
    device: str = _config_field(
        "auto",
        "cpu, cuda, cuda:N, mps, or auto.",
        group="Machine",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
    )
    attention: Literal["auto", "matmul", "fused"] = _config_field(
        "auto",
        "How attention is computed: plain products or torch's kernel; auto: what is fastest here.",
        group="Machine",
    )
    compile: Annotated[Literal["auto", "on", "off"], BeforeValidator(_parse_on_off)] = (
        _config_field(
            "auto",
            "Compile the network for this machine; auto: where the run earns it.",
            group="Machine",
        )
    )
    threads: int | None = _config_field(
        None,
        "Threads of the processor; left open: all cores, fewer beside busy programs.",
        group="Machine",
        ge=1,
        le=MAX_THREADS,
    )
    save_dir: str | None = _config_field(
        None, "Folder of the model; left open: models/transformer_<unix time>.", group="Machine"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _config_field(
        "info", "How much is said while working.", group="Machine"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_dict_of_rates_is_piecewise(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(
            _parse_learning_rate(values.get("learning_rate")), dict
        ):
            return {"schedule": "piecewise"} | values
        return values

    @model_validator(mode="after")
    def _keys_fit_each_other(self) -> Self:
        if self.embed_dim % self.num_heads:
            fits = [h for h in range(1, self.embed_dim + 1) if self.embed_dim % h == 0]
            nearest = min(fits, key=lambda h: abs(h - self.num_heads))
            raise config_conflict(
                "num_heads",
                f"{self.num_heads}",
                f"a divisor of embed_dim {self.embed_dim}",
                f"set num_heads to {nearest}",
            )
        if self.architecture == "modern" and (self.embed_dim // self.num_heads) % 2:
            raise config_conflict(
                "num_heads",
                f"{self.num_heads} (heads of odd size {self.embed_dim // self.num_heads})",
                "heads of even size in the modern architecture",
                "change num_heads or embed_dim, or set architecture to gpt",
            )
        if self.seq_len > self.max_seq_len:
            raise config_conflict(
                "seq_len",
                f"{self.seq_len}",
                f"at most max_seq_len {self.max_seq_len}",
                f"lower seq_len or set max_seq_len to {self.seq_len}",
            )
        if (self.schedule == "piecewise") != isinstance(self.learning_rate, dict):
            raise config_conflict(
                "schedule",
                f"{self.schedule} with learning_rate {self.learning_rate}",
                "piecewise together with a rate per epoch, the others with one rate",
                "give learning_rate as {1: 1e-4, 2: 1e-3} or choose another schedule",
            )
        if self.num_micro_batches > self.batch_size:
            raise config_conflict(
                "gradient_accumulation_steps",
                f"{self.num_micro_batches}",
                f"at most batch_size {self.batch_size}",
                "lower it or raise batch_size",
            )
        if self.compile == "on" and self.activation_checkpointing:
            raise config_conflict(
                "compile",
                "on together with activation_checkpointing",
                "one of the two",
                "set compile to auto or activation_checkpointing to false",
            )
        return self

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate."""
        rate = self.learning_rate
        return max(rate.values()) if isinstance(rate, dict) else rate

    @property
    def num_micro_batches(self) -> int:
        """That a batch is computed in: one, where their number was left open."""
        return self.gradient_accumulation_steps or 1

    @property
    def micro_batch_size(self) -> int:
        """Of a batch, that go through the network together at most."""
        return -(-self.batch_size // self.num_micro_batches)


def make_config(values: Mapping[str, Any] | None = None) -> RunConfig:
    """A checked `RunConfig` from key-value pairs; `ConfigError` names the first bad key."""
    try:
        return RunConfig.model_validate(dict(values or {}))
    except ValidationError as problem:
        descriptions = {k: field.description or "" for k, field in RunConfig.model_fields.items()}
        raise translate_validation_error(problem, descriptions) from None


NON_SEMANTIC_KEYS = ("save_dir", "log_level")
"""Keys that decide nothing of what is learned."""
