"""Write the JSON Schema of each command into docs/schemas/, and their list into docs/json.md.

    python tools/make_json_schemas.py            write them
    python tools/make_json_schemas.py --check    exit 1 if a file is not what the code says

The types are those that the commands print. The descriptions are the docstrings of the fields.
"""

from __future__ import annotations

import argparse
import ast
import copy
import inspect
import itertools
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "src"))

from descend.cli import json_outputs as outputs  # noqa: E402
from descend.cli.json_outputs import SAME_OUTPUT, SCHEMA_VERSIONS  # noqa: E402
from descend.data.corpus_builder import CorpusBuildSummary  # noqa: E402
from descend.data.corpus_stats import CorpusStats  # noqa: E402
from descend.data_check.problem_report import DataCheck  # noqa: E402
from descend.diagnosis.diagnosis_result import Diagnosis  # noqa: E402
from descend.experiments.attribute.attribution_result import Attribution  # noqa: E402
from descend.experiments.compare.comparison_result import Comparison  # noqa: E402
from descend.experiments.compare.finished_runs import FinishedComparison  # noqa: E402
from descend.experiments.improvement import Improvement  # noqa: E402
from descend.experiments.search.search_result import SearchResult  # noqa: E402
from descend.forecast.forecast_run import Forecast  # noqa: E402
from descend.handbook.checklist import Checklist  # noqa: E402
from descend.handbook.lesson import Lesson  # noqa: E402
from descend.handbook.lesson_results import LessonResult  # noqa: E402
from descend.interop.export.exported_model import ExportedModel  # noqa: E402
from descend.interop.hub import PushedModel  # noqa: E402
from descend.loss_logs.diagnose_log import LogDiagnosis  # noqa: E402
from descend.metrics.evaluation import Evaluation  # noqa: E402
from descend.planner.machine_benchmark import MachineBenchmark  # noqa: E402
from descend.planner.plan import TrainingPlan  # noqa: E402
from descend.program_check.bug_report import Checked  # noqa: E402
from descend.program_trials.diagnose_program import ProgramDiagnosis  # noqa: E402
from descend.report.html.write import WrittenReport  # noqa: E402
from descend.runs.events import Epoch  # noqa: E402
from descend.runs.run_files import RunSummary  # noqa: E402
from descend.runs.run_list import ListedRun  # noqa: E402

FOLDER = ROOT / "docs" / "schemas"
PAGE = ROOT / "docs" / "json.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TABLE = re.compile(r"(<!-- schemas -->\n).*?(<!-- end -->)", re.DOTALL)

Fields = list[tuple[str, Any] | tuple[str, Any, Any]]


def extend(name: str, base: type[msgspec.Struct] | None, fields: Fields) -> Any:
    """Return a type with the fields of `base` and those of a command."""
    inherited: Fields = []
    if base is not None:
        hints = msgspec.structs.fields(base)
        inherited = [(field.name, field.type) for field in hints if field.required]
        inherited += [(field.name, field.type, None) for field in hints if not field.required]
    made = msgspec.defstruct(name, [*inherited, *fields], kw_only=True)
    made.__doc__ = base.__doc__ if base is not None else None
    return made


PageInList = extend("PageInList", None, [("name", str), ("title", str), ("group", str)])

OUTPUT_TYPES: dict[str, tuple[Any, ...]] = {
    "attribute": (Attribution,),
    "chat": (outputs.ChatTurns,),
    "check": (Checked, DataCheck),
    "checklist": (Checklist,),
    "compare": (Comparison, FinishedComparison),
    "config presets": (outputs.PresetValues,),
    "config show": (outputs.ConfigValues,),
    "corpus add": (CorpusBuildSummary,),
    "corpus stats": (CorpusStats,),
    "diagnose": (Diagnosis, LogDiagnosis, ProgramDiagnosis),
    "env": (outputs.EnvironmentFacts,),
    "error": (outputs.ErrorOutput,),
    "evaluate": (Evaluation,),
    "explain": (
        extend("HandbookPage", None, [
            ("name", str), ("title", str), ("group", str), ("see_also", list[str]),
            ("sections", dict[str, str]), ("text", str), ("yours", str | None, None),
        ]),
        extend("PageList", None, [("pages", list[PageInList])]),
    ),
    "export": (ExportedModel,),
    "forecast": (
        extend("ForecastOutput", Forecast, [("sentence", str)]),
        extend("UndeterminedForecastOutput", None,
               [("run", str), ("effect", str), ("sentence", str)]),
    ),
    "generate": (outputs.GeneratedText, outputs.GeneratedTexts),
    "improve": (Improvement,),
    "learn": (
        extend("CourseOutput", None,
               [("lessons", list[Lesson]), ("result", LessonResult | None, None)]),
    ),
    "list": (extend("RunList", None, [("folder", str), ("runs", list[ListedRun])]),),
    "plan": (
        extend("PlanOutput", TrainingPlan, [
            ("corpus", str), ("machine", MachineBenchmark),
            ("num_models", int), ("final_bits_per_byte", float),
            ("measured", RunSummary | None, None),
        ]),
    ),
    "push": (PushedModel,),
    "report": (WrittenReport,),
    "search": (SearchResult,),
    "show": (
        extend("RunOverview", None, [("run", ListedRun), ("epochs", list[Epoch]), ("next", str)]),
    ),
    "tokenizer train": (outputs.TokenizerFile,),
    "train": (RunSummary,),
}  # fmt: skip
"""What a command prints: one of these types."""


PRINTED_NAMES = {
    "ArmResult": {"difference": "loss_reduction"},
    "Attribution": {"total_difference": "total_loss_reduction"},
    "ChangeContribution": {
        "value": "loss_reduction", "effect_first": "loss_reduction_first",
        "effect_last": "loss_reduction_last",
    },
    "Interaction": {"value": "loss_reduction"},
}  # fmt: skip
"""Fields that descend.experiments.json_output prints under another name, with the other sign."""


def rename_fields(schema: dict[str, Any], names: dict[str, str]) -> None:
    """Rename fields of an object schema, in place."""
    fields = schema["properties"]
    schema["properties"] = {names.get(name, name): content for name, content in fields.items()}
    schema["required"] = [names.get(name, name) for name in schema.get("required", [])]
    for name in names.values():
        schema["properties"][name]["description"] = "Positive is better."


def field_descriptions(kind: type) -> dict[str, str]:
    """Return the docstring below each field of a class and of its bases, as one line."""
    described: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, text in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                described[field.target.id] = " ".join(str(text.value.value).split())
    return described


def all_types(kinds: tuple[Any, ...]) -> dict[str, type]:
    """Return the classes that the output is made of, by name."""
    reached: dict[str, type] = {}
    waiting = [msgspec.inspect.type_info(kind) for kind in kinds]
    while waiting:
        info = waiting.pop()
        kind = getattr(info, "cls", None)
        if isinstance(kind, type) and hasattr(info, "fields"):
            if kind.__name__ in reached:
                continue
            reached[kind.__name__] = kind
            waiting += [field.type for field in info.fields]
        for name in ("item_type", "key_type", "value_type"):
            if hasattr(info, name):
                waiting.append(getattr(info, name))
        for name in ("types", "item_types"):
            waiting += getattr(info, name, ())
    return reached


def path_schema(kind: type) -> dict[str, Any]:
    """Return the schema of a path, which is printed as text."""
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError(kind)


def allow_null(schema: Any) -> Any:
    """Allow null for each number: JSON has no word for one that is not finite."""
    if isinstance(schema, list):
        return [allow_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: allow_null(value) for key, value in schema.items()}
    if changed.get("type") == "number":
        changed["type"] = ["number", "null"]
    options = changed.get("anyOf", [])
    if {"type": ["number", "null"]} in options and {"type": "null"} in options:
        options.remove({"type": "null"})
        if len(options) == 1:
            return {k: v for k, v in changed.items() if k != "anyOf"} | options[0]
    return changed


def make_schema(command: str) -> dict[str, Any]:
    """Make the JSON Schema of a command."""
    kinds = OUTPUT_TYPES[command]
    tops, components = msgspec.json.schema_components(
        kinds, schema_hook=path_schema, ref_template="#/$defs/{name}"
    )
    components = {name: dict(schema) for name, schema in components.items()}
    named = all_types(kinds) | {kind.__name__: kind for kind in kinds}
    parents = {"ForecastOutput": Forecast, "PlanOutput": TrainingPlan}
    for name, schema in components.items():
        described = field_descriptions(parents.get(name, named[name]))
        for field, content in schema.get("properties", {}).items():
            if field in described:
                content["description"] = described[field]
        if name in PRINTED_NAMES:
            rename_fields(schema, PRINTED_NAMES[name])
    version = {"const": SCHEMA_VERSIONS[command], "description": "Of this schema."}
    for top in tops:
        name = top["$ref"].rpartition("/")[2]
        if json.dumps(top["$ref"]) in json.dumps(components):  # part of another output too
            components[f"{name}Output"] = copy.deepcopy(components[name])
            name = f"{name}Output"
            top["$ref"] = f"#/$defs/{name}"
        schema = components[name]
        schema["properties"] = {"schema_version": version} | schema["properties"]
        schema["required"] = ["schema_version", *schema.get("required", [])]
    content = {
        "$schema": DIALECT,
        "title": f"descend {command} --json" if command != "error" else "a failure with --json",
        **(tops[0] if len(tops) == 1 else {"anyOf": list(tops)}),
        "$defs": components,
    }
    return allow_null(content)


def schema_file(command: str) -> Path:
    """Return where the schema of a command is."""
    return FOLDER / f"{command.replace(' ', '-')}.v{SCHEMA_VERSIONS[command]}.json"


def make_table() -> str:
    """Make the list of the schemas for docs/json.md."""
    lines = ["| command | schema |", "|---|---|"]
    for command in OUTPUT_TYPES:
        file = schema_file(command)
        also = [other for other, same in SAME_OUTPUT.items() if same == command]
        names = ", ".join(f"`{name}`" for name in (command, *also))
        lines.append(f"| {names} | [{file.name}](schemas/{file.name}) |")
    return "\n".join(lines) + "\n"


def make_files() -> dict[Path, str]:
    """Make the text of all generated files."""
    files = {
        schema_file(command): json.dumps(make_schema(command), indent=1, ensure_ascii=False) + "\n"
        for command in OUTPUT_TYPES
    }
    page = PAGE.read_text(encoding="utf-8")
    return files | {PAGE: TABLE.sub(lambda match: match[1] + make_table() + match[2], page)}


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description="Write the JSON Schema of each command.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if one differs")
    is_check = parser.parse_args().check
    FOLDER.mkdir(exist_ok=True)
    files = make_files()
    stale = [p for p, text in files.items() if not p.exists() or p.read_text("utf-8") != text]
    surplus = [path for path in FOLDER.iterdir() if path not in files]
    if not is_check:
        for path in stale:
            path.write_text(files[path], encoding="utf-8")
        for path in surplus:
            path.unlink()
    print("schemas that differ:", ", ".join(path.name for path in stale + surplus) or "none")
    return int(bool(stale + surplus) and is_check)


if __name__ == "__main__":
    sys.exit(main())
