"""`descend train` and `descend continue`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from descend.cli.clock import command_began
from descend.cli.flags import AsJson, ConfigFile, Preset, Verbose, named_run, settings_from
from descend.errors import ConfigError
from descend.settings import Settings, gather_settings

Corpus = Annotated[
    str | None,
    typer.Argument(
        metavar="CORPUS",
        help="A folder, a file, - for standard input, or an embedded corpus (python, stories).",
    ),
]


def train(
    values: dict[str, Any],
    corpus: Corpus = None,
    corpus_dir: Annotated[
        str | None, typer.Option("--corpus-dir", help="The same as CORPUS.")
    ] = None,
    config: ConfigFile = None,
    preset: Preset = None,
    from_run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Take the settings of this run; flags change them.",
            callback=named_run,
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="With --from-run: and what its diagnosis prescribes.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the doctor's signals beside the curve.")
    ] = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on text; without CORPUS on an embedded one.

    descend train my/texts

    descend train my/texts --minutes 10

    descend train book.txt --epoch 5 --embed-dim 512

    descend train --from-run models/transformer_1735862400 --apply
    """
    from descend.api import train_settings
    from descend.cli.watch import carry_through

    began = command_began()
    given = values | _one_corpus(corpus, corpus_dir)
    if from_run is not None:
        run = (from_run, _settings_of(from_run, apply, config, preset))
        settings = gather_settings(given, run=run)
        _check_paths(settings, from_run)
    elif apply:
        raise ConfigError("--apply", "no --from-run", "the run that was diagnosed", "name it")
    else:
        settings = settings_from(given, config, preset)
    level = settings.config.log_level
    carry_through(
        lambda shown: train_settings(settings, shown, watch=watch, began=began),
        as_json,
        level,
        verbose,
    )


def continue_training(
    values: dict[str, Any],
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="The folder of a trained model.",
            callback=named_run,
        ),
    ],
    corpus: Corpus = None,
    corpus_dir: Annotated[
        str | None, typer.Option("--corpus-dir", help="The same as CORPUS.")
    ] = None,
    config: ConfigFile = None,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Train an existing model further, on the same or another text, into a new folder.

    descend continue models/transformer_1735862400 --epoch 5 --learning-rate 0.0005
    """
    from descend.api import train_further
    from descend.cli.watch import carry_through

    changes = values | _one_corpus(corpus, corpus_dir)
    carry_through(
        lambda shown: train_further(model, changes, shown, config), as_json, verbose=verbose
    )


def _settings_of(run: Path, apply: bool, config: Path | None, preset: str | None) -> dict[str, Any]:
    """The settings that `run` was asked for, with its prescription if it is to be applied."""
    from descend.cli.output import say
    from descend.doctor.prescription import prescribed_settings, settings_of_run
    from descend.report.diagnosis import assignments

    if config is not None or preset is not None:
        raise ConfigError(
            "--from-run", "a --config or --preset beside it", "settings from one place",
            "leave one of them out",
        )  # fmt: skip
    if not apply:
        return settings_of_run(run)
    settings, changes = prescribed_settings(run)
    say(f"prescribed for {run}: {assignments(changes)}")
    return settings


def _check_paths(settings: Settings, run: Path) -> None:
    """Raise `CorpusError` for a path that comes from `run` and that the user never named."""
    from descend.text.cache import check_path
    from descend.text.embedded import NAMES

    for key in ("corpus_dir", "vocab_path"):
        if settings.origins[key].startswith("run "):
            check_path(getattr(settings.config, key), run, NAMES)


def _one_corpus(corpus: str | None, corpus_dir: str | None) -> dict[str, str]:
    if corpus is not None and corpus_dir not in (None, corpus):
        raise ConfigError(
            "corpus_dir",
            f"{corpus_dir} beside CORPUS {corpus}",
            "one corpus",
            "leave one of them out",
        )
    found = corpus_dir if corpus is None else corpus
    return {} if found is None else {"corpus_dir": found}
