"""`descend chat`: a conversation with a model that only knows how to go on with a text."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from descend.cli.config_flags import JsonOption
from descend.cli.generate import MaxNewTokens, ModelFolder, Seed, Temperature
from descend.cli.json_outputs import ChatTurn, ChatTurns
from descend.cli.output import print_json, print_status, write_generated

if TYPE_CHECKING:
    from descend.api import Model

QUIT = ("/quit", "/exit")

COMMAND = re.compile(r"/\w*")
"""What a person at a terminal means as a command. Other text may begin with a slash, as code does.
"""

HELP = """\
/new    starts over: the model forgets the text so far
/quit   leaves, as does Ctrl-D
Ctrl-C  stops the answer or clears the line; twice leaves
Enter   on an empty line lets the model write on"""


def chat(
    model: ModelFolder,
    max_new_tokens: MaxNewTokens = 80,
    temperature: Temperature = 0.9,
    seed: Seed = None,
    as_json: JsonOption = False,
) -> None:
    """Chat with a model: it continues the conversation.

    A model trained here has read only your text. It continues a text and does not answer
    questions. /help lists the commands, /quit or Ctrl-D exits.
    """
    from descend.api import load

    loaded = load(model)
    is_interactive = sys.stdin.isatty()
    if is_interactive:
        print_status(_greeting(loaded))
    said, exchanges = "", list[ChatTurn]()
    while (line := _read_user_input(is_interactive)) is not None and line not in QUIT:
        if line == "/new":
            said = ""
            print_status("The model starts over.")
            continue
        if line == "/help" or (is_interactive and COMMAND.fullmatch(line)):
            print_status(HELP if line == "/help" else f"There is no command {line}.\n{HELP}")
            continue
        warn_of_long_line(loaded, line)
        said += ("\n" if said else "") + line
        number = None if seed is None else seed + len(exchanges)
        answer = ""
        try:
            for chunk in loaded.stream(said, max_new_tokens, temperature=temperature, seed=number):
                answer += chunk
                if not as_json:
                    write_generated(chunk)
        except KeyboardInterrupt:
            if not is_interactive:
                raise
        said += answer
        exchanges.append(ChatTurn(line, answer))
        if not as_json:
            write_generated("\n")
    if as_json:
        print_json("chat", ChatTurns(exchanges))


def _greeting(model: Model) -> str:
    return (
        f"This is {model.folder}. Type some text and press Enter, and the model continues it. "
        f"It remembers the last {model.trained_context} tokens. /help lists the commands."
    )


def warn_of_long_line(model: Model, line: str) -> None:
    """Say so where `line` is longer than what the model can read at once."""
    num_tokens, context = len(model.tokenizer.encode(line)), model.trained_context
    if num_tokens > context:
        print_status(
            f"This line has {num_tokens:,} tokens. The model reads only the last {context:,} of "
            "them."
        )


def _read_user_input(is_interactive: bool) -> str | None:
    """Return the next line; None at the end of the input, or after Ctrl-C twice."""
    has_cleared = False
    while True:
        try:
            return input("> " if is_interactive else "")
        except EOFError:
            if is_interactive:
                write_generated("\n")
            return None
        except KeyboardInterrupt:
            if not is_interactive:
                raise
            write_generated("\n")
            if has_cleared:
                return None
            has_cleared = True
            print_status("Press Ctrl-C again to leave.")
