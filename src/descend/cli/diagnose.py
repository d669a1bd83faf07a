"""`descend diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.output import print_json, print_result, print_status, stderr_console
from descend.diagnosis.result import DEFAULT_BUDGET, Diagnosis
from descend.errors import ConfigError

RunFolder = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_LOG",
        help="The folder of a run, finished or not; or another program's loss log or folder.",
        callback=named_run,
    ),
]


def diagnose(
    run: RunFolder,
    budget: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Of the run's own time, for trials; one to three minutes at least.",
        ),
    ] = DEFAULT_BUDGET,
    no_proof: Annotated[
        bool, typer.Option("--no-proof", help="Read the signals only, try nothing.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell how each other cause was ruled out.")
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(metavar="CAUSE", help="End with exit code 1 if this cause is found."),
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(metavar="CORPUS", help="For a log: the text that its run trained on."),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option("--vocab-size", help="For a log: the vocabulary's size."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a run does not learn better, with proof by trial.

    descend diagnose models/transformer_1735862400

    descend diagnose train.log --vocab-size 50257
    """
    from descend.diagnosis.diagnose import validate_cause_names

    named = validate_cause_names(fail_on or [])
    if run.is_file() or _holds_a_log(run):
        from descend.loss_logs.diagnose_log import diagnose_log
        from descend.report.text.log_diagnosis import format_log_diagnosis

        of_log = diagnose_log(run, corpus=corpus, vocab_size=vocab_size)
        _print_result(of_log, format_log_diagnosis(of_log, explain), as_json)
        diagnosed_names = {of_log.verdict, *(f.cause for f in of_log.causes)}
    else:
        from descend.report.text.diagnosis import format_diagnosis

        _reject_log_options(corpus=corpus, vocab_size=vocab_size)
        diagnosis = _diagnose(run, budget, proof=not no_proof)
        _print_result(diagnosis, format_diagnosis(diagnosis, explain), as_json)
        diagnosed_names = {diagnosis.verdict}
        if diagnosis.verdict != "unknown":  # what may be is no failure
            diagnosed_names |= {f.cause for f in diagnosis.causes}
    if diagnosed_names & named:
        raise typer.Exit(1)


def _holds_a_log(folder: Path) -> bool:
    """Whether a folder is another program's, with a log in it."""
    from descend.loss_logs.log_folder import holds_record, log_files
    from descend.runs.run_files import has_model, is_run_folder

    if not folder.is_dir() or is_run_folder(folder):
        return False
    if holds_record(folder):
        return True
    return not has_model(folder) and bool(log_files(folder))


def _diagnose(run: Path, budget: float, *, proof: bool) -> Diagnosis:
    from descend.api import diagnose as examine

    try:
        return examine(run, budget=budget, proof=proof, console=stderr_console())
    except KeyboardInterrupt:
        if proof:
            print_status(
                "trials that came to their end are kept: the same command goes on from them"
            )
        raise


def _print_result(result: object, text: str, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        print_result(text)


def _reject_log_options(**options: object) -> None:
    for key, value in options.items():
        if value is not None:
            raise ConfigError(
                key, f"{value} beside the folder of a run", "it for a loss log only",
                "leave it out: a run knows its own",
            )  # fmt: skip
