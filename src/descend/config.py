"""The configuration of a run: `RunConfig`, one flat frozen record.

Each key stands once, here, with default, bounds, unit and one sentence. Command-line
flags, configuration files, error messages and the reference table are made from it.
A key that is `None` is not set: the recipe fills it in from the size of the text
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

from descend.config_errors import check_texts, config_conflict, translate_validation_error
from descend.config_values import parse_learning_rate, parse_on_off, parse_teachers

LearningRate = Annotated[float, Field(gt=0, le=10)]

MAX_THREADS = 1024
"""Of a number beyond what the system can start, OpenMP ends the process without a word of ours."""


MAX_PROCESSES = 65536
"""The largest batch size: each process computes at least one sequence."""


DEFAULT_GRADIENT_CLIP = 1.0
"""The usual maximum gradient norm (Pascanu et al. 2013 and every recipe since)."""


def _config_field(default: Any, sentence: str, *, group: str, **bounds: Any) -> Any:
    return Field(default, description=sentence, json_schema_extra={"group": group}, **bounds)


class RunConfig(BaseModel):
    """All that decides what a run learns, in the words of the guide.

    Raises `ConfigError` through `make_config`; building it directly raises pydantic's
    own `ValidationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Data.
    corpus_dir: str | None = _config_field(
        None,
        "Text: a folder, a file, - (standard input), hf:NAME (a Hugging Face dataset), or a "
        "built-in corpus (python, stories). Default: python.",
        group="Data",
    )
    sample_size: int | None = _config_field(
        None, "Number of documents to sample. Default: all.", group="Data", ge=1
    )
    encoding: str | None = _config_field(
        None, "Encoding of text files. Default: UTF-8, else detected.", group="Data"
    )
    text_column: str | None = _config_field(
        None, "Columns or keys with the text. Default: chosen by name and length.", group="Data"
    )
    split: str | None = _config_field(
        None, "Split of a dataset to read. Default: all.", group="Data"
    )
    validation_fraction: float = _config_field(
        0.1, "Fraction of the text in the validation set.", group="Data", ge=0.01, le=0.5
    )
    normalize: Literal["none", "nfc"] = _config_field(
        "none", "Unicode normalization of the text.", group="Data"
    )
    tokenizer: Literal["bpe", "char", "byte"] = _config_field(
        "bpe", "Tokenizer: byte-pair encoding, characters, or bytes.", group="Data"
    )
    vocab_size: int | None = _config_field(
        None,
        "Number of different tokens (bpe). Default: chosen by corpus size.",
        group="Data",
        ge=257,
        le=1_000_000,
    )
    vocab_path: str | None = _config_field(
        None, "A tokenizer.json to use instead of training a tokenizer.", group="Data"
    )
    bpe_dropout: float | None = _config_field(
        None,
        "Fraction of BPE merges undone at random in the training text. "
        "Default: by the number of epochs.",
        group="Data",
        ge=0,
        lt=1,
    )

    # Model.
    architecture: Literal["gpt", "modern", "llama"] = _config_field(
        "modern",
        "gpt: GPT-2. modern: RoPE, RMSNorm, and squared ReLU. llama: only to continue a Llama, "
        "Mistral, or Qwen model.",
        group="Model",
    )
    embed_dim: int = _config_field(
        256, "Embedding width: numbers per token.", group="Model", ge=8, le=16384
    )
    num_heads: int = _config_field(
        4, "Attention heads. Must divide embed_dim.", group="Model", ge=1, le=256
    )
    num_layers: int = _config_field(4, "Transformer blocks.", group="Model", ge=1, le=256)
    ff_dim: int = _config_field(
        1024, "Width of the feed-forward layer in each block.", group="Model", ge=8, le=65536
    )
    max_seq_len: int = _config_field(
        256,
        "Maximum context length in tokens. Fixed when the model is built.",
        group="Model",
        ge=2,
        le=131072,
    )
    dropout_rate: float = _config_field(
        0.0, "Fraction of activations dropped during training.", group="Model", ge=0, lt=1
    )
    token_dropout: float | None = _config_field(
        None,
        "Fraction of input token embeddings zeroed during training. "
        "Default: grows with the number of epochs.",
        group="Model",
        ge=0,
        lt=1,
    )

    # Optimization.
    batch_size: int = _config_field(
        16, "Sequences per step; fewer for short texts.", group="Optimization", ge=1, le=65536
    )
    seq_len: int = _config_field(
        128,
        "Tokens per training sequence. At most max_seq_len.",
        group="Optimization",
        ge=2,
        le=131072,
    )
    epoch: int | None = Field(
        None,
        description="Number of passes over the training text. Default: chosen by corpus size.",
        json_schema_extra={"group": "Optimization"},
        ge=1,
        le=100_000,
        validation_alias=AliasChoices("epoch", "epochs"),
    )
    max_steps: int | None = _config_field(
        None,
        "Maximum number of optimizer steps. Overrides epoch. Default: no limit.",
        group="Optimization",
        ge=1,
        le=10**9,
    )
    minutes: float | None = _config_field(
        None,
        "Time limit in minutes, from the start to the saved model. Settings that you leave out "
        "are planned for it. Default: no limit.",
        group="Optimization",
        gt=0,
        le=60 * 24 * 365,
    )
    learning_rate: Annotated[
        LearningRate | dict[Annotated[int, Field(ge=1)], LearningRate],
        BeforeValidator(parse_learning_rate),
    ] = _config_field(
        0.001,
        "Peak learning rate, a number such as 0.001. One rate per epoch: 1:1e-4,2:1e-3.",
        group="Optimization",
    )
    optimizer: Literal["adamw", "muon"] = _config_field("muon", "Optimizer.", group="Optimization")
    schedule: Literal["constant", "linear", "cosine", "wsd", "piecewise"] = _config_field(
        "wsd",
        "Learning-rate schedule. wsd: constant, then a fall to zero over the last half.",
        group="Optimization",
    )
    warmup_steps: int | None = _config_field(
        None, "Warmup steps. Default: 5% of the run.", group="Optimization", ge=0
    )
    weight_decay: float = _config_field(
        0.1, "Decoupled weight decay of the weight matrices.", group="Optimization", ge=0, le=10
    )
    gradient_clip: float = _config_field(
        DEFAULT_GRADIENT_CLIP,
        "Maximum gradient norm. 0: no clipping.",
        group="Optimization",
        ge=0,
        le=1e6,
    )
    label_smoothing: float = _config_field(
        0.0,
        "Probability spread over all tokens in the training loss.",
        group="Optimization",
        ge=0,
        lt=1,
    )
    lora_rank: int | None = _config_field(
        None,
        "Rank of the LoRA adapters that `continue` trains instead of all weights. 0: all weights. "
        "Default: 0, or 16 if all weights do not fit into memory.",
        group="Optimization",
        ge=0,
        le=1024,
    )
    teachers: Annotated[str | None, BeforeValidator(parse_teachers)] = _config_field(
        None,
        "Folders of models, separated by commas, whose predictions are learned as well. "
        "Default: none.",
        group="Optimization",
    )
    gradient_accumulation_steps: int | None = _config_field(
        None,
        "Micro-batches per step. Default: as few as fit into memory.",
        group="Optimization",
        ge=1,
    )
    activation_checkpointing: bool = _config_field(
        False, "Recompute activations in the backward pass to save memory.", group="Hardware"
    )
    divergence_rollback: Annotated[Literal["on", "off"], BeforeValidator(parse_on_off)] = (
        _config_field(
            "on",
            "If the loss diverges, roll back to the last good state and retry with one change.",
            group="Optimization",
        )
    )
    seed: int = _config_field(
        42,
        "Seed of the initial weights, the validation split, and the data order.",
        group="Optimization",
        ge=0,
        le=2**63 - 1,
    )

    split_seed: int | None = _config_field(
        None,
        "Seed of the validation split and of the sampled documents. Default: seed.",
        group="Data",
        ge=0,
        le=2**63 - 1,
    )

    # Hardware and output.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = _config_field(
        "auto",
        "Precision of matrix multiplication. auto: fastest on this machine.",
        group="Hardware",
    )
    device: str = _config_field(
        "auto",
        "cpu, cuda, cuda:N, mps, or auto.",
        group="Hardware",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
    )
    attention: Literal["auto", "matmul", "fused"] = _config_field(
        "auto",
        "Attention implementation: matmul or fused (SDPA). auto: fastest on this machine.",
        group="Hardware",
    )
    compile: Annotated[Literal["auto", "on", "off"], BeforeValidator(parse_on_off)] = _config_field(
        "auto", "Use torch.compile. auto: if the run is long enough.", group="Hardware"
    )
    threads: int | None = _config_field(
        None,
        "CPU threads. Default: all cores, fewer if other programs are running.",
        group="Hardware",
        ge=1,
        le=MAX_THREADS,
    )
    num_processes: int | None = Field(
        None,
        description="Processes that share each batch. Default: one, or those of torchrun.",
        json_schema_extra={"group": "Hardware"},
        ge=1,
        le=MAX_PROCESSES,
        validation_alias=AliasChoices("num_processes", "processes"),
    )
    save_dir: str | None = _config_field(
        None, "Output folder. Default: models/transformer_<unix time>.", group="Output"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _config_field(
        "info", "Logging level.", group="Output"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_dict_of_rates_is_piecewise(cls, values: Any) -> Any:
        if isinstance(values, dict):
            check_texts(values)
        if isinstance(values, dict) and isinstance(
            parse_learning_rate(values.get("learning_rate")), dict
        ):
            return {"schedule": "piecewise"} | values
        return values

    @model_validator(mode="after")
    def _keys_fit_each_other(self) -> Self:
        if self.embed_dim % self.num_heads:
            fits = [h for h in range(1, self.embed_dim + 1) if self.embed_dim % h == 0]
            nearest = min(fits, key=lambda h: abs(h - self.num_heads))
            raise config_conflict(
                "num_heads", f"{self.num_heads}", f"a divisor of embed_dim {self.embed_dim}",
                f"set num_heads to {nearest}",
            )  # fmt: skip
        if self.architecture == "modern" and (self.embed_dim // self.num_heads) % 2:
            raise config_conflict(
                "num_heads",
                f"{self.num_heads} (heads of odd size {self.embed_dim // self.num_heads})",
                "heads of even size in the modern architecture",
                "change num_heads or embed_dim, or set architecture to gpt",
            )
        if self.seq_len > self.max_seq_len:
            raise config_conflict(
                "seq_len", f"{self.seq_len}", f"at most max_seq_len {self.max_seq_len}",
                f"lower seq_len or set max_seq_len to {self.seq_len}",
            )  # fmt: skip
        if (self.schedule == "piecewise") != isinstance(self.learning_rate, dict):
            raise config_conflict(
                "schedule",
                f"{self.schedule} with learning_rate {self.learning_rate}",
                "piecewise together with a rate per epoch, the others with one rate",
                "give learning_rate as {1: 1e-4, 2: 1e-3} or choose another schedule",
            )
        if self.bpe_dropout and self.tokenizer != "bpe":
            raise config_conflict(
                "bpe_dropout", f"{self.bpe_dropout:g} with the {self.tokenizer} tokenizer",
                "0 for a tokenizer without merges", "set bpe_dropout to 0 or tokenizer to bpe",
            )  # fmt: skip
        if self.num_micro_batches > self.batch_size:
            raise config_conflict(
                "gradient_accumulation_steps", f"{self.num_micro_batches}",
                f"at most batch_size {self.batch_size}", "lower it or raise batch_size",
            )  # fmt: skip
        if self.compile == "on" and self.activation_checkpointing:
            raise config_conflict(
                "compile", "on together with activation_checkpointing", "one of the two",
                "set compile to auto or activation_checkpointing to false",
            )  # fmt: skip
        if self.lora_rank and (self.optimizer != "adamw" or self.compile == "on"):
            raise config_conflict(
                "lora_rank", f"{self.lora_rank} with {self.optimizer}, compile {self.compile}",
                "adamw, not compiled", "set optimizer to adamw and compile to auto",
            )  # fmt: skip
        return self

    @property
    def data_seed(self) -> int:
        """Seed that decides which text is trained on and which is the validation set."""
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def teacher_folders(self) -> tuple[str, ...]:
        """The folders in `teachers`."""
        return tuple(part.strip() for part in (self.teachers or "").split(",") if part.strip())

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate."""
        rate = self.learning_rate
        return max(rate.values()) if isinstance(rate, dict) else rate

    @property
    def num_micro_batches(self) -> int:
        """Micro-batches of a batch: one, where their number is not set."""
        return self.gradient_accumulation_steps or 1

    @property
    def micro_batch_size(self) -> int:
        """Of a batch, that go through the network of one process together at most."""
        return -(-self.batch_size // ((self.num_processes or 1) * self.num_micro_batches))


def make_config(values: Mapping[str, Any] | None = None) -> RunConfig:
    """Return a checked `RunConfig` from key-value pairs; `ConfigError` names the first bad key."""
    try:
        return RunConfig.model_validate(dict(values or {}))
    except ValidationError as problem:
        descriptions = {k: field.description or "" for k, field in RunConfig.model_fields.items()}
        raise translate_validation_error(problem, descriptions) from None


NON_SEMANTIC_KEYS = ("save_dir", "log_level")
"""Keys that decide nothing of what is learned."""

FIXED_KEYS = ("architecture", "embed_dim", "num_heads", "num_layers", "ff_dim", "max_seq_len",
              "tokenizer", "vocab_size", "vocab_path")  # fmt: skip
"""Keys that fix the network or its vocabulary: a model that is trained further keeps them."""

RESTARTED_KEYS = ("save_dir", "warmup_steps", "max_steps", "teachers", "lora_rank")
"""Keys that a run does not inherit from the run that it continues. Its text may be another one, of
which the teachers know nothing. Adapters are merged at the end of a run."""
