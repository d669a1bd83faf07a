"""`descend diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from descend.cli.config_flags import JsonOption, named_run
from descend.cli.diagnose_program import (
    Map,
    Metric,
    MetricFile,
    Program,
    Seeds,
    TrialSeconds,
    Workers,
    diagnose_command,
)
from descend.cli.output import print_report, print_status, stderr_console
from descend.cli.trials_file import TrialsFile, make_trial_writer
from descend.diagnosis.diagnosis_result import DEFAULT_BUDGET, Diagnosis
from descend.errors import ConfigError, RunFolderError

RunFolder = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN_OR_LOG",
        help="A run folder (finished or not), or a loss log from another program.",
        callback=named_run,
    ),
]

VocabSize = Annotated[
    int | None,
    typer.Option(
        "--vocab-size",
        metavar="INT",
        min=2,
        help="For a loss log: the vocabulary size. Default: not known.",
    ),
]


def diagnose(
    run: RunFolder = None,
    budget: Annotated[
        float,
        typer.Option(
            "--trial-budget",
            metavar="FLOAT",
            help="Trial budget as a fraction of the run's training time (minimum: one to three "
            "minutes). Range: 0 to 100.",
        ),
    ] = DEFAULT_BUDGET,
    no_trials: Annotated[
        bool, typer.Option("--no-trials", help="Use the recorded metrics only. Run no trials.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also explain how every other cause was ruled out.")
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(metavar="CAUSE", help="Exit with code 1 if this cause is found."),
    ] = None,
    trials_file: TrialsFile = None,
    corpus: Annotated[
        str | None,
        typer.Option(metavar="CORPUS", help="For a loss log: the text of its run."),
    ] = None,
    vocab_size: VocabSize = None,
    program: Program = None,
    metric: Metric = None,
    metric_file: MetricFile = None,
    mappings: Map = None,
    seeds: Seeds = 3,
    trial_seconds: TrialSeconds = 3600.0,
    workers: Workers = None,
    as_json: JsonOption = False,
) -> None:
    """Find out why a run does not learn better.

    Each suspected cause is tested in paired trials: the same run with one change.
    """
    from descend.diagnosis.run_diagnosis import validate_cause_names
    from descend.loss_logs.log_folder import holds_other_log

    named = validate_cause_names(fail_on or [])
    _check_subject(run, program)
    if run is None:
        assert program is not None
        options = {"num_seeds": seeds, "timeout": trial_seconds, "workers": workers}
        diagnosed_names = diagnose_command(program, mappings, metric, metric_file, options, as_json)
    elif run.is_file() or holds_other_log(run):
        diagnosed_names = _diagnose_log(run, corpus, vocab_size, verbose, as_json)
    else:
        _reject_log_options(corpus=corpus, vocab_size=vocab_size)
        diagnosis = _diagnose(run, budget, not no_trials, trials_file)
        diagnosed_names = _print_diagnosis(diagnosis, verbose, as_json)
    if diagnosed_names & named:
        raise typer.Exit(1)


def _check_subject(run: Path | None, program: str | None) -> None:
    """`ConfigError` unless one of the two is given."""
    if (run is None) == (program is None):
        raise ConfigError(
            "diagnose", "neither a run nor --program" if run is None else "a run and --program",
            "one of the two", "give a run folder, a loss log, or --program",
        )  # fmt: skip
    if run is not None and not run.exists():
        raise RunFolderError(
            str(run), "no such file or folder", "a run folder or a loss log", "check the path"
        )


def _diagnose_log(
    log: Path, corpus: str | None, vocab_size: int | None, verbose: bool, as_json: bool
) -> set[str]:
    """Judge a loss log, and return the names of the verdict and the causes."""
    from descend.loss_logs.diagnose_log import diagnose_log
    from descend.report.text.log_diagnosis import format_log_diagnosis

    of_log = diagnose_log(log, corpus=corpus, vocab_size=vocab_size)
    print_report("diagnose", of_log, lambda: format_log_diagnosis(of_log, verbose), as_json)
    return {of_log.verdict, *(f.cause for f in of_log.causes)}


def _print_diagnosis(diagnosis: Diagnosis, verbose: bool, as_json: bool) -> set[str]:
    """Print the diagnosis of a run, and return the names of the verdict and the causes."""
    from descend.diagnosis.recommended_config import merge_recommendations
    from descend.report.text.diagnosis_summary import format_diagnosis
    from descend.report.text.next_step import choose_next_step, format_next_step
    from descend.runs.recorded_run import RecordedRun

    print_report("diagnose", diagnosis, lambda: format_diagnosis(diagnosis, verbose), as_json)
    if not (as_json or merge_recommendations(diagnosis)):  # else the report ends with the command
        step = choose_next_step(RecordedRun(Path(diagnosis.run)), diagnosis)
        print_status(format_next_step(step))
    if diagnosis.verdict == "unknown":  # what may be is no failure
        return {diagnosis.verdict}
    return {diagnosis.verdict, *(f.cause for f in diagnosis.causes)}


def _diagnose(run: Path, budget: float, proof: bool, trials_file: Path | None) -> Diagnosis:
    from descend.api import diagnose as examine

    on_trial = make_trial_writer(trials_file)
    try:
        return examine(run, budget=budget, proof=proof, on_trial=on_trial, console=stderr_console())
    except KeyboardInterrupt:
        if proof:
            print_status("Finished trials are cached. Run the same command again to continue.")
        raise


def _reject_log_options(**options: object) -> None:
    for key, value in options.items():
        if value is not None:
            raise ConfigError(
                key, f"{value} together with a run folder",
                "this option only together with a loss log", "leave it out",
            )  # fmt: skip
