"""`descend train` and `descend continue`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from descend.cli.clock import command_began
from descend.cli.config_flags import (
    ConfigFile,
    JsonOption,
    Preset,
    Verbose,
    named_run,
    resolve_flags,
)
from descend.config_sources import ResolvedConfig, resolve_config
from descend.errors import ConfigError
from descend.runs.run_files import read_info

if TYPE_CHECKING:
    from rich.console import Console

    from descend.api import Model

Corpus = Annotated[
    str | None,
    typer.Argument(
        metavar="CORPUS",
        help="Text to train on: a folder, a file, - (standard input), hf:NAME (a Hugging Face "
        "dataset), or a built-in corpus (python, stories). Default: python.",
    ),
]

NextCorpus = Annotated[
    str | None,
    typer.Argument(
        metavar="CORPUS",
        help="Text to train on, as in `descend train`. Default: the text of MODEL.",
    ),
]

TRAIN_COMMON = ("minutes", "epoch", "learning_rate", "batch_size", "device", "save_dir")
"""Keys whose flags a first reader needs."""


CorpusDir = Annotated[
    str | None,
    typer.Option(
        "--corpus-dir", metavar="TEXT", rich_help_panel="Data", help="The same as CORPUS."
    ),
]
FromRun = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Start from the configuration of this run, and from the model that it continued. "
        "Other flags override it.",
        callback=named_run,
    ),
]
ApplyFix = Annotated[
    bool,
    typer.Option(
        "--apply-fix",
        help="With --from-run: apply the recommended change of its diagnosis.",
    ),
]
ShowMetrics = Annotated[
    bool,
    typer.Option(
        "--show-metrics",
        rich_help_panel="Output",
        help="Show diagnostic metrics while training.",
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="NAME",
        rich_help_panel="Output",
        help="Send the metrics to a tracker: tensorboard, wandb, mlflow, or trackio. May be "
        "repeated.",
    ),
]


def train(
    values: dict[str, Any],
    corpus: Corpus = None,
    corpus_dir: CorpusDir = None,
    config: ConfigFile = None,
    preset: Preset = None,
    from_run: FromRun = None,
    apply_fix: ApplyFix = False,
    show_metrics: ShowMetrics = False,
    track: Track = None,
    verbose: Verbose = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a text.

    The defaults below are those of the preset `fast`.
    """
    from descend.cli.output import print_start

    print_start()
    from descend.api import continue_run, train_with_config
    from descend.cli.run_and_report import run_and_report

    began = command_began()
    requested_config = values | _resolve_corpus_argument(corpus, corpus_dir)
    parent = None
    if from_run is not None:
        run = (from_run, _config_from_run(from_run, apply_fix, config, preset))
        resolved = resolve_config(requested_config, run=run)
        _check_paths(resolved, from_run)
        parent = read_info(from_run).parent
    elif apply_fix:
        raise ConfigError(
            "--apply-fix", "no --from-run", "--from-run RUN", "name the run that was diagnosed"
        )
    else:
        resolved = resolve_flags(requested_config, config, preset)
    level = resolved.config.log_level

    def train_run(console: Console) -> Model:
        if parent is not None:
            return continue_run(
                Path(parent), resolved.requested_config, console, watch=show_metrics,
                track=track or (),
            )  # fmt: skip
        return train_with_config(
            resolved, console, watch=show_metrics, began=began, track=track or ()
        )

    run_and_report(train_run, as_json, level, verbose, base=from_run)


def continue_training(
    values: dict[str, Any],
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A run or model folder, or `latest`.",
            callback=named_run,
        ),
    ],
    corpus: NextCorpus = None,
    corpus_dir: CorpusDir = None,
    config: ConfigFile = None,
    track: Track = None,
    verbose: Verbose = False,
    as_json: JsonOption = False,
) -> None:
    """Train an existing model further, on the same or another text.

    The new run has a folder of its own. Settings that you do not give are those of MODEL. Its
    tokenizer and the shape of its network cannot change.
    """
    from descend.cli.output import print_start

    print_start()
    from descend.api import continue_run
    from descend.cli.run_and_report import run_and_report

    changes = values | _resolve_corpus_argument(corpus, corpus_dir)
    run_and_report(
        lambda console: continue_run(model, changes, console, config, track=track or ()),
        as_json,
        verbose=verbose,
    )


def _config_from_run(
    run: Path, apply_fix: bool, config: Path | None, preset: str | None
) -> dict[str, Any]:
    """Read the configuration of `run`, with the recommended change if `apply_fix`."""
    from descend.cli.output import print_status
    from descend.diagnosis.recommended_config import recommended_run_config, requested_run_config
    from descend.report.text.diagnosis_summary import assignments

    if config is not None or preset is not None:
        raise ConfigError(
            "--from-run", "--config or --preset together with --from-run",
            "one source of settings", "leave one of them out",
        )  # fmt: skip
    if not apply_fix:
        return requested_run_config(run)
    requested_config, changes = recommended_run_config(run)
    print_status(f"Recommended by the diagnosis of {run}: {assignments(changes)}")
    return requested_config


def _check_paths(settings: ResolvedConfig, run: Path) -> None:
    """Raise `CorpusError` for a path that comes from `run` and that the user never named."""
    from descend.data.builtin_corpora import BUILTIN_CORPORA
    from descend.data.cache_dir import check_path

    for key in ("corpus_dir", "vocab_path"):
        if settings.origins[key].startswith("run "):
            check_path(getattr(settings.config, key), run, BUILTIN_CORPORA)


def _resolve_corpus_argument(corpus: str | None, corpus_dir: str | None) -> dict[str, str]:
    if corpus is not None and corpus_dir not in (None, corpus):
        raise ConfigError(
            "corpus_dir",
            f"{corpus_dir} together with CORPUS {corpus}",
            "one corpus",
            "leave one of them out",
        )
    corpus_path = corpus_dir if corpus is None else corpus
    return {} if corpus_path is None else {"corpus_dir": corpus_path}
