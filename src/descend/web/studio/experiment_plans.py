"""From what a page requests to the command that carries the experiment out; wrong values are
refused before anything waits in the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from descend.config import RunConfig, make_config
from descend.errors import ConfigError
from descend.experiments.attribute.config_diff import diff_configs
from descend.experiments.compare.arms import make_arms, validate_vary
from descend.experiments.named_config import NamedConfig, load_named_config
from descend.experiments.search.space import DEFAULT_OVER, make_search_space, parse_over_flags
from descend.presets import PRESETS
from descend.web.studio.requests import (
    MAX_ARMS,
    AttributionRequest,
    ComparisonRequest,
    SearchRequest,
)
from descend.web.studio.settings import check_settings
from descend.web.studio.workspace import Workspace


@dataclass(frozen=True)
class ExperimentPlan:
    """What is carried out."""

    title: str
    arguments: list[str]
    """Of `descend`, without the places of its files."""
    config: dict[str, Any] = field(default_factory=dict)
    """The configuration to begin from, where the arguments name none."""
    minutes: float | None = None


def plan_comparison(workspace: Workspace, request: ComparisonRequest) -> ExperimentPlan:
    """Return the comparison that is requested; `ConfigError` for fewer than two arms."""
    for key, values in request.vary.items():
        for value in values:
            check_settings({key: value})
    text = corpus_of(workspace, request.text)
    if request.runs:
        named = [load_run_config(workspace, name, text) for name in request.runs]
    else:
        named = [NamedConfig("base", form_config(request.settings, text))]
    arms = make_arms(named, validate_vary(request.vary))
    if len(arms) > MAX_ARMS:
        raise ConfigError(
            "compare", f"{len(arms)} configurations", f"at most {MAX_ARMS}", "choose fewer values"
        )
    arguments = ["compare", *text.values(), "--num-seeds", str(request.seeds)]
    for name in request.runs:
        arguments += ["--arm", str(workspace.run_folder(name))]
    for key, values in request.vary.items():
        arguments += ["--vary", f"{key}={','.join(map(str, values))}"]
    if request.seconds is not None:
        arguments += ["--budget-unit", "seconds", "--budget", f"{request.seconds:g}"]
    config = {} if request.runs else dump(named[0].config)
    subject = " against ".join(request.runs) if len(request.runs) > 1 else ", ".join(request.vary)
    return ExperimentPlan(f"{subject} ({len(arms)} configurations)", arguments, config)


def plan_search(workspace: Workspace, request: SearchRequest) -> ExperimentPlan:
    """Return the search that is requested; `ConfigError` for ranges that cannot be."""
    text = corpus_of(workspace, request.text)
    if request.run is None:
        base = form_config(request.settings, text)
    else:
        base = load_run_config(workspace, request.run, text).config
    flags = [f"{key}={value}" for key, value in request.space.items()] or list(DEFAULT_OVER)
    space = make_search_space(parse_over_flags(flags), base)
    arguments = ["search", "--minutes", f"{request.minutes:g}", "--num-seeds", str(request.seeds)]
    for flag in flags:
        arguments += ["--space", flag]
    title = ", ".join(span.key for span in space)
    return ExperimentPlan(title, arguments, dump(base), request.minutes)


def plan_attribution(workspace: Workspace, request: AttributionRequest) -> ExperimentPlan:
    """Return the attribution that is requested; `ConfigError` where nothing differs."""
    text = corpus_of(workspace, request.text)
    pair = [load_side(workspace, name, text) for name in (request.a, request.b)]
    changes = diff_configs(pair[0].config, pair[1].config)
    names = [
        name if name in PRESETS else str(workspace.run_folder(name))
        for name in (request.a, request.b)
    ]
    arguments = [
        "attribute", *names, *text.values(), "--num-seeds", str(request.seeds),
        "--max-runs", str(request.max_runs),
    ]  # fmt: skip
    number = f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}"
    return ExperimentPlan(f"{request.a} to {request.b} ({number})", arguments)


def corpus_of(workspace: Workspace, text: str | None) -> dict[str, str]:
    """Return `corpus_dir` with what the name of a text means; nothing where none is named."""
    return {} if text is None else {"corpus_dir": workspace.corpus(text)}


def load_run_config(workspace: Workspace, name: str, text: dict[str, str]) -> NamedConfig:
    """Return the configuration of the run `name`, on another text if one is named."""
    return load_named_config(str(workspace.run_folder(name)), text)


def load_side(workspace: Workspace, name: str, text: dict[str, str]) -> NamedConfig:
    """Return the configuration of a preset, or of a run."""
    if name in PRESETS:
        return load_named_config(name, text)
    return load_run_config(workspace, name, text)


def form_config(settings: dict[str, Any], text: dict[str, str]) -> RunConfig:
    """Return the configuration of the form on a text, which has to be named."""
    if not text:
        raise ConfigError("text", "neither a text nor a run", "one of them", "choose a text")
    check_settings(settings)
    return make_config(settings | text)


def dump(config: RunConfig) -> dict[str, Any]:
    """Return `config` as a file of keys: those that were chosen. The rest fits the text."""
    return config.model_dump(mode="json", exclude_unset=True, exclude_none=True)
