"""A tokenizer folder with its chat template, as `transformers` applies it.

The template is a stranger's program. It runs in the sandbox of jinja2 that `transformers` uses
too: it sees the messages alone, and its output is only compared with them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from descend.data.readers.chats import Turn
from descend.data.tokenizer_check import MAX_BYTES, check_tokenizer
from descend.errors import TokenizerError
from descend.guard import read_regular

MAX_TEMPLATE_BYTES = 2**20
NO_LIMIT = 10**6
"""`model_max_length` from here on means that there is none."""

_GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
"""Marks of `transformers` around what the assistant says; they print nothing."""


class TemplateRefusedError(Exception):
    """The template raises an error for a conversation."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as text, with the ranges of characters that the assistant is to learn."""

    text: str
    answers: tuple[tuple[int, int], ...]
    """From the start of each answer to the end of its turn."""


@dataclass(frozen=True)
class ChatTokenizer:
    """A tokenizer, its special tokens, and its template."""

    backend: Tokenizer
    eos_token: str | None
    max_length: int | None
    template: Template | None
    special_tokens: dict[str, Any]

    @cached_property
    def markers(self) -> frozenset[str]:
        """Texts of the added tokens."""
        return frozenset(t.content for t in self.backend.get_added_tokens_decoder().values())

    def encode(self, text: str) -> list[int]:
        """Return token ids of `text`, special tokens in it recognized, none added."""
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def render(self, turns: tuple[Turn, ...]) -> Rendered:
        """Apply the template; `TemplateRefusedError` with its own words."""
        text = self._apply(turns)
        answers = []
        for n, (role, said) in enumerate(turns):
            if role != "assistant":
                continue
            try:
                before, after = self._apply(turns[:n], prompt=True), self._apply(turns[: n + 1])
            except TemplateRefusedError:
                before = after = ""
            if before and text.startswith(before) and text.startswith(after):
                answers.append((len(before), len(after)))
            elif (start := text.find(said.strip(), answers[-1][1] if answers else 0)) >= 0:
                answers.append((start, start + len(said.strip())))
        return Rendered(text, tuple(answers))

    def _apply(self, turns: tuple[Turn, ...], prompt: bool = False) -> str:
        assert self.template is not None
        messages = [{"role": role, "content": said} for role, said in turns]
        try:
            return self.template.render(
                messages=messages, add_generation_prompt=prompt, tools=None, documents=None,
                **self.special_tokens,
            )  # fmt: skip
        except Exception as problem:  # a template can fail in any way
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise TemplateRefusedError(reason[:200]) from None


def load_chat_tokenizer(folder: Path) -> ChatTokenizer:
    """Read tokenizer.json, tokenizer_config.json, and the template of `folder`.

    Raises `TokenizerError` if the tokenizer cannot be read. A template is not needed.
    """
    file = folder / "tokenizer.json"
    try:
        backend = Tokenizer.from_str(check_tokenizer(read_regular(file, MAX_BYTES)))
    except BaseException as problem:  # the library raises bare Exception, and panics, from Rust
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        reason = (str(problem).splitlines() or [type(problem).__name__])[0][:80]
        raise TokenizerError(
            str(file), f"no tokenizer ({reason})", "the tokenizer.json of a Hugging Face model",
            "name the folder of the model that is to be fine-tuned",
        ) from None  # fmt: skip
    settings = _read_json(folder / "tokenizer_config.json")
    special = {key: _token_text(value) for key, value in settings.items() if key.endswith("_token")}
    limit = settings.get("model_max_length")
    max_length = int(limit) if isinstance(limit, int | float) and 0 < limit < NO_LIMIT else None
    source = _template_source(folder, settings)
    return ChatTokenizer(
        backend, special.get("eos_token"), max_length,
        None if source is None else _compile(source, folder), special,
    )  # fmt: skip


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(file, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _token_text(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _template_source(folder: Path, settings: dict[str, Any]) -> str | None:
    try:
        return read_regular(folder / "chat_template.jinja", MAX_TEMPLATE_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        pass
    template = settings.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _compile(source: str, folder: Path) -> Template:
    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda _: "2026-01-01"
    try:
        return environment.from_string(_GENERATION.sub("", source))
    except TemplateError as problem:
        raise TokenizerError(
            str(folder), f"a chat template that is damaged ({problem})", "a template of jinja",
            "restore the tokenizer from a copy",
        ) from None  # fmt: skip
