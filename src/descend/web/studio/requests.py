"""What a client may send, with a bound on every number, text and list."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_MINUTES = 60 * 24 * 7
MAX_PROMPT = 20_000
MAX_NEW_TOKENS = 1000
MAX_SETTINGS = 60
MAX_ARMS = 8
MAX_SEEDS = 20
MAX_SECONDS = 60 * MAX_MINUTES
MAX_SOURCES = 200
MAX_TRIAL_SECONDS = 24 * 3600
Name = Annotated[str, Field(max_length=100)]
Value = bool | int | float | Annotated[str, Field(max_length=40)]


class Body(BaseModel):
    """A body of JSON without keys of its own making."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PlanRequest(Body):
    """A plan for a text in so many minutes."""

    text: str = Field(max_length=100)
    minutes: float = Field(gt=0, le=MAX_MINUTES)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=MAX_SETTINGS)


class StartRequest(Body):
    """A run to be started: for minutes, or as the settings say."""

    text: str = Field(max_length=100)
    minutes: float | None = Field(None, gt=0, le=MAX_MINUTES)
    settings: dict[str, Any] = Field(default_factory=dict, max_length=MAX_SETTINGS)
    tokenizer_file: Name | None = None
    """A tokenizer of the workspace, instead of one that is made from the text."""


class TokenizerRequest(Body):
    """A tokenizer to be made from a text."""

    text: Name
    settings: dict[str, Any] = Field(default_factory=dict, max_length=MAX_SETTINGS)
    """Those that make a tokenizer."""


class CorpusRequest(Body):
    """Texts whose content is added to another one, a folder."""

    sources: list[Name] = Field(min_length=1, max_length=MAX_SOURCES)
    deduplicate: Literal["none", "exact", "near"] = "exact"
    drop_boilerplate: bool = False
    """Leave out text that recurs across documents."""
    split: Literal["document", "line", "chunk"] = "document"
    min_length: int = Field(1, ge=0, le=1_000_000)
    """Characters of a document below which it is left out."""
    sample_size: int | None = Field(None, ge=1, le=1_000_000_000)
    """Documents that stay, at random. Without it all."""


class GenerateRequest(Body):
    """A text to be continued."""

    prompt: str = Field(max_length=MAX_PROMPT)
    max_new_tokens: int = Field(100, ge=1, le=MAX_NEW_TOKENS)
    seed: int | None = Field(None, ge=0, lt=2**63)
    temperature: float = Field(0.9, ge=0.001, le=100)
    top_k: int = Field(40, ge=0, le=1_000_000)
    top_p: float = Field(0.92, gt=0, le=1)
    min_p: float = Field(0, ge=0, le=1)
    repetition_penalty: float = Field(1.3, ge=0.01, le=100)
    no_repeat_ngram_size: int = Field(3, ge=0, le=1000)
    greedy: bool = False


class RestoreRequest(Body):
    """A run or an experiment to be taken back from the trash."""

    id: str = Field(max_length=40)


class ImproveRequest(Body):
    """An improvement, for so many minutes."""

    minutes: float = Field(gt=0, le=MAX_MINUTES)


class LessonRequest(Body):
    """An experiment of a lesson, and what is expected of it."""

    text: str = Field("stories", max_length=100)
    prediction: int = Field(ge=0, le=20)
    """Position of a choice, from 0."""


class ComparisonRequest(Body):
    """A comparison: runs against each other, or values of settings around a run or a text."""

    runs: list[Name] = Field(default_factory=list, max_length=MAX_ARMS)
    text: Name | None = None
    """That of the runs, if it is left out."""
    settings: dict[str, Any] = Field(default_factory=dict, max_length=MAX_SETTINGS)
    """Where no run is named."""
    vary: dict[Name, Annotated[list[Value], Field(min_length=1, max_length=MAX_ARMS)]] = Field(
        default_factory=dict, max_length=3
    )
    seconds: float | None = Field(None, gt=0, le=MAX_SECONDS)
    """That each training has. Without it each reads as many tokens as the first one plans."""
    seeds: int = Field(3, ge=1, le=MAX_SEEDS)


class SearchRequest(Body):
    """A search for the best settings around those of a run, or of the form."""

    run: Name | None = None
    text: Name | None = None
    settings: dict[str, Any] = Field(default_factory=dict, max_length=MAX_SETTINGS)
    space: dict[Name, Annotated[str, Field(max_length=200)]] = Field(
        default_factory=dict, max_length=8
    )
    """Ranges such as `0.001..0.01`, or values such as `64,128`, by setting."""
    minutes: float = Field(gt=0, le=MAX_MINUTES)
    seeds: int = Field(3, ge=1, le=MAX_SEEDS)


class AttributionRequest(Body):
    """What each difference between two runs, or presets, is worth."""

    a: Name
    b: Name
    text: Name | None = None
    seeds: int = Field(2, ge=1, le=MAX_SEEDS)
    max_runs: int = Field(32, ge=2, le=1000)


class EvaluationRequest(Body):
    """A text that a model is measured on."""

    text: Name


class ExportRequest(Body):
    """A format of another program."""

    format: Literal["gguf", "onnx", "torchscript", "safetensors"]
    type: Literal["float32", "float16", "bfloat16", "q8_0", "q4_0"] | None = None


class PushRequest(Body):
    """A repository of the Hugging Face hub that a model is uploaded to."""

    repository: str = Field(pattern=r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")
    public: bool = False
    """Of a new repository."""
    format: Literal["gguf", "onnx", "torchscript", "safetensors"] | None = None
    """Of the export that is uploaded. Without it the model of the run is."""


class ProgramFile(Body):
    """A training program of the workspace."""

    file: Name
    folder: Annotated[str, Field(max_length=100)] = ""


class ProgramTrialsRequest(ProgramFile):
    """Paired trials of a training program, through its own flags."""

    metric: str = Field(pattern=r"^[A-Za-z_][\w ./-]{0,99}$")
    """Name of the loss that it prints."""
    flags: dict[
        Literal["learning_rate", "batch_size", "num_layers", "dropout_rate", "seed", "max_steps",
                "max_tokens", "num_epochs"],
        Annotated[str, Field(pattern=r"^(--?)?[A-Za-z][\w.-]{0,60}(=[0-9.eE+-]{1,20})?$")],
    ]  # fmt: skip
    """The flag of each setting and its value without the flag, as `--lr=0.001`."""
    seeds: int = Field(3, ge=2, le=MAX_SEEDS)
    trial_seconds: float = Field(3600, gt=0, le=MAX_TRIAL_SECONDS)


class CheckRequest(Body):
    """A file of the workspace, and what it is."""

    kind: Literal["program", "data", "log"]
    file: Name
    folder: Annotated[str, Field(max_length=100)] = ""
    """Below the workspace."""
