"""What was requested, what was chosen, and the command that does it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from descend.config import NON_SEMANTIC_KEYS, RunConfig
from descend.experiments.command_line import format_flags
from descend.handbook.run_notes.wording import generate_command
from descend.handbook.setting_facts import format_setting, format_value
from descend.presets import PRESETS
from descend.report.html.report_page import (
    Command,
    Paragraph,
    ReportBlock,
    ReportTable,
    Section,
    word_columns,
)
from descend.runs.events import Sample
from descend.runs.recorded_run import RecordedRun
from descend.runs.run_files import RunMetadata
from descend.runs.suggestions import lacks_model, suggest_fix
from descend.units import quoted

_MACHINE = ("device", "precision", "attention", "compiled", "threads", "torch", "processor")


def config_section(info: RunMetadata, folder: Path) -> Section:
    """Return every key: its value, where it came from, the default; first what is not the
    default."""
    other: list[tuple[str, ...]] = []
    default: list[tuple[str, ...]] = []
    for key, field in RunConfig.model_fields.items():
        requested, used = info.requested_config.get(key), info.resolved_config.get(key)
        value = "–" if used is None else format_setting(used)
        if requested != field.default:
            other.append((key, value, "set by you", format_setting(field.default)))
        elif requested is None and used is not None:
            other.append((key, value, "automatic", format_setting(field.default)))
        else:
            default.append((key, value))
    executed = info.execution
    computed = ", ".join(f"{k} {format_value(executed[k])}" for k in _MACHINE if k in executed)
    return Section(
        "settings",
        "Settings",
        (
            Paragraph(
                f"Preset {info.preset}. `descend explain SETTING --run {quoted(folder)}` explains"
                " what each setting did in this run."
            ),
            ReportTable(
                "Settings that are not the default",
                word_columns("setting", "value", "from", "default"),
                tuple(other),
            ),
            ReportTable(
                "All other settings, which kept their default",
                word_columns("setting", "value"),
                tuple(default),
                folded=True,
            ),
            Paragraph(f"Computed with {computed}.", is_secondary=True),
        ),
        teaser="set by you, automatic, and default",
    )


def repeat_section(run: RecordedRun, samples: Sequence[Sample] = ()) -> Section:
    """Return the commands that repeat the run, and those that its state allows."""
    model = quoted(run.folder)
    blocks: list[ReportBlock] = [
        Paragraph(
            "The same settings and seed on the same text. The result is equal to the last bit if "
            "torch, threads, and precision are the same."
        ),
        Command(repeat_command(run.metadata)),
    ]
    if run.diverged or not run.finished or lacks_model(run.folder):
        blocks.append(Paragraph(f"There is no model to use yet: {suggest_fix(run.folder)}."))
    else:
        blocks += [
            Paragraph("Train it further, find out what holds it back, or generate text:"),
            Command(
                f"descend continue {model}\ndescend diagnose {model}\n"
                f"{generate_command(run.folder, samples)}"
            ),
        ]
    return Section("again", "Repeat this run", tuple(blocks))


def repeat_command(info: RunMetadata) -> str:
    """Return `descend train …` with every key that differs from the preset."""
    requested_config = {
        k: v for k, v in info.requested_config.items() if k in RunConfig.model_fields
    }
    base: dict[str, Any] = {k: f.default for k, f in RunConfig.model_fields.items()}
    base |= PRESETS.get(info.preset, {})
    flag_values = {
        key: value for key, value in requested_config.items()
        if value != base[key] and key not in ("corpus_dir", *NON_SEMANTIC_KEYS)
    }  # fmt: skip
    if isinstance(flag_values.get("learning_rate"), dict):
        flag_values.pop("schedule", None)
    corpus = info.resolved_config.get("corpus_dir") or "python"
    if info.parent:
        command_parts = ["descend", "continue", info.parent, str(corpus)]
        flag_values.pop("vocab_path", None)
        shape = ("architecture", "embed_dim", "num_heads", "num_layers", "ff_dim", "max_seq_len",
                 "tokenizer", "vocab_size")  # fmt: skip
        flag_values = {key: value for key, value in flag_values.items() if key not in shape}
    else:
        command_parts = ["descend", "train", str(corpus)]
        if info.preset != "fast":
            command_parts += ["--preset", info.preset]
    return shlex.join([*command_parts, *format_flags(flag_values)])
