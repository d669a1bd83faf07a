"""Checks of the objects that commands print with `--json`, by the schemas in docs/schemas/."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema

from descend.cli.json_outputs import SAME_OUTPUT, SCHEMA_VERSIONS

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def find_command(words: list[str]) -> str:
    """Return the command that `words` of a command line call."""
    for length in (2, 1):
        name = " ".join(words[:length])
        name = SAME_OUTPUT.get(name, name)
        if name in SCHEMA_VERSIONS:
            return name
    raise AssertionError(f"no schema for: descend {' '.join(words)}")


def read_schema(command: str) -> dict[str, Any]:
    """Read the schema of a command as published."""
    file = FOLDER / f"{command.replace(' ', '-')}.v{SCHEMA_VERSIONS[command]}.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def forbid_other_fields(schema: Any) -> Any:
    """Return the schema with no field allowed but those that it names."""
    schema = copy.deepcopy(schema)
    for content in schema["$defs"].values():
        if "properties" in content:
            content.setdefault("additionalProperties", False)
    return schema


def check_output(command: str, content: dict[str, Any]) -> None:
    """Check that an object has the fields of its schema, of the right types, and no others."""
    jsonschema.validate(content, forbid_other_fields(read_schema(command)))
