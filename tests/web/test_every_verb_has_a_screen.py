"""Everything the command line does can be done in the studio, too: each verb has a screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from typer.main import get_command

from descend.cli.main import app
from descend.config import RunConfig

from .test_gate import routes_of

pytest.importorskip("fastapi", reason="the extra `studio` is not installed")

SCREENS: dict[str, list[tuple[str, str, str, str]]] = {
    "train": [("start", "start.js", "POST", "/runs")],
    "plan": [("start", "start.js", "POST", "/plan")],
    "corpus stats": [("start", "start.js", "GET", "/texts/{name}/statistics")],
    "corpus add": [("start", "start_tools.js", "POST", "/texts/{name}/additions")],
    "tokenizer train": [("start", "start_tools.js", "POST", "/tokenizers/{name}")],
    "config show": [("start", "start.js", "GET", "/settings")],
    "config presets": [("start", "start.js", "GET", "/presets")],
    "show": [("run", "live.js", "GET", "/runs/{name}")],
    "resume": [("run", "live.js", "POST", "/runs/{name}/resume")],
    "continue": [("run", "live.js", "POST", "/runs/{name}/continue"),
                 ("run", "run_tools.js", "POST", "/runs/{name}/continue")],
    "evaluate": [("run", "run_tools.js", "POST", "/runs/{name}/evaluation")],
    "export": [("run", "run_tools.js", "POST", "/runs/{name}/export")],
    "report": [("run", "run_tools.js", "POST", "/runs/{name}/report"),
               ("experiments", "run_tools.js", "POST", "/experiments/{name}/report")],
    "checklist": [("run", "run_tools.js", "GET", "/runs/{name}/checklist")],
    "forecast": [("run", "run_tools.js", "GET", "/runs/{name}/forecast")],
    "push": [("run", "share.js", "POST", "/runs/{name}/push")],
    "serve": [("run", "share.js", "POST", "/runs/{name}/server")],
    "list": [("runs", "runs.js", "GET", "/runs")],
    "generate": [("talk", "api.js", "POST", "/runs/{name}/generate")],
    "chat": [("talk", "api.js", "POST", "/runs/{name}/generate")],
    "diagnose": [("diagnosis", "diagnosis.js", "POST", "/runs/{name}/diagnosis"),
                 ("check", "check.js", "POST", "/checks"),
                 ("check", "program_trials.js", "POST", "/checks/programs/trials")],
    "improve": [("diagnosis", "improve.js", "POST", "/runs/{name}/improvement")],
    "check": [("check", "check.js", "POST", "/checks")],
    "compare": [("experiments", "experiment_forms.js", "POST", "/experiments/comparisons"),
                ("runs", "runs.js", "GET", "/runs/compare")],
    "attribute": [("experiments", "experiment_forms.js", "POST", "/experiments/attributions")],
    "search": [("experiments", "experiment_forms.js", "POST", "/experiments/searches")],
    "learn": [("learn", "learn.js", "POST", "/lessons/{lesson}/experiment")],
    "explain": [("handbook", "handbook.js", "GET", "/pages")],
    "env": [("handbook", "handbook.js", "GET", "/environment")],
}  # fmt: skip
"""Of each verb: the screen, the script of the page that requests it, and the request."""

NOT_ON_A_SCREEN = {"studio"}
"""It opens the screens."""


OF_THE_TERMINAL = {"--json", "--verbose", "--config", "--save-dir", "--corpus-dir", "--output",
                   "-o", "--trials-file", "--workers", "--processes", "--help"}  # fmt: skip
"""Options about the output and the files of a command, or about several machines."""

WITHOUT_A_FIELD: dict[str, set[str]] = {
    "train": {"--track", "--show-metrics"},
    "continue": {"--track"},
    "resume": {"--track"},
    "plan": {"--target-bits-per-byte", "--max-memory-gb", "--run"},
    "generate": {"--stop"},
    "serve": {"--port", "--host", "--device", "--max-batch"},
    "diagnose": {"--trial-budget", "--no-trials", "--fail-on", "--corpus", "--vocab-size",
                 "--metric-file"},
    "check": {"--timeout", "--memory", "--in-place", "--tokenizer", "--validation", "--max-length"},
    "compare": {"--num-evaluations", "--eval-tokens", "--preset"},
    "attribute": {"--train-fraction", "--eval-tokens"},
    "search": {"--budget-unit", "--budget", "--eval-tokens", "--preset"},
    "corpus add": {"--extensions", "--split", "--chunk-chars", "--overlap-chars", "--max-files",
                   "--sample-size", "--seed", "--encoding", "--text-column", "--dataset-split"},
    "corpus stats": {"--preset"},
    "config show": {"--preset"},
    "tokenizer train": {"--preset"},
}  # fmt: skip
"""Options, besides those that are settings of a run, that only the terminal has."""

WITH_A_FIELD: dict[str, set[str]] = {
    "train": {"--preset", "--from-run", "--apply-fix"},
    "plan": {"--minutes"},
    "generate": {"--max-new-tokens", "--greedy", "--temperature", "--top-k", "--top-p", "--min-p",
                 "--repetition-penalty", "--no-repeat-ngram-size", "--seed"},
    "chat": {"--max-new-tokens", "--temperature", "--seed"},
    "export": {"--to", "--type"},
    "push": {"--public"},
    "diagnose": {"--program", "--metric", "--map", "--seeds", "--trial-seconds"},
    "improve": {"--minutes"},
    "forecast": {"--epoch"},
    "compare": {"--vary", "--arm", "--budget-unit", "--budget", "--num-seeds"},
    "attribute": {"--num-seeds", "--max-runs"},
    "search": {"--space", "--num-seeds"},
    "learn": {"--text", "--prediction"},
    "explain": {"--run"},
    "corpus add": {"--min-length", "--deduplicate", "--drop-boilerplate"},
}  # fmt: skip
"""Options, besides settings of a run, that a screen or its request has too."""


def options_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Each verb with its options that are no settings of a run."""
    settings = {f"--{key.replace('_', '-')}" for key in RunConfig.model_fields} | {"--epochs"}
    if not (children := getattr(command, "commands", {})):
        options = {p.opts[-1] for p in command.params if p.param_type_name == "option"}
        owns_settings = "--log-level" in options
        yield " ".join(path), options - OF_THE_TERMINAL - (settings if owns_settings else set())
    for name, child in children.items():
        yield from options_of(child, (*path, name))


def verbs_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Each verb of the command line, with the group before it."""
    if not (children := getattr(command, "commands", {})):
        yield " ".join(path)
    for name, child in children.items():
        yield from verbs_of(child, (*path, name))


def script(name: str) -> str:
    """The text of a script of the page."""
    return (files("descend.web.studio") / "static" / "js" / name).read_text()


def reachable_screens() -> set[str]:
    """The screens that a link or a button of the page leads to."""
    folder = files("descend.web.studio") / "static" / "js"
    text = "".join(file.read_text() for file in folder.iterdir())
    return set(re.findall(r"#/(\w+)", text))


def test_each_verb_has_a_screen() -> None:
    verbs = set(verbs_of(get_command(app)))
    assert len(verbs) > 25
    assert verbs == SCREENS.keys() | NOT_ON_A_SCREEN


@pytest.mark.parametrize("verb", SCREENS)
def test_each_option_has_a_field_or_is_left_to_the_terminal(verb: str) -> None:
    options = dict(options_of(get_command(app)))[verb]
    with_a_field, without = WITH_A_FIELD.get(verb, set()), WITHOUT_A_FIELD.get(verb, set())
    assert not with_a_field & without
    assert options == with_a_field | without


@pytest.mark.parametrize("verb", SCREENS)
def test_screen_of_a_verb_requests_what_the_interface_answers(services: Any, verb: str) -> None:
    from descend.web.studio.app import API, make_app

    routes = routes_of(make_app(services, "cookie"))
    screens = re.search(r"const SCREENS = {(.+)};", script("main.js"))
    assert screens is not None
    names = set(re.findall(r"(\w+):", screens[1]))
    for screen, file, method, path in SCREENS[verb]:
        assert (method, API + path) in routes, path
        assert screen in names & reachable_screens(), screen
        word = next(part for part in reversed(path.split("/")) if "{" not in part)
        assert re.search(rf"[/\"`]{word}\b", script(file)), (file, path)
