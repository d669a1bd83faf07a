"""`descend`: the verbs, and what happens when one of them fails."""

from __future__ import annotations

import gc
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import typer
from typer.exceptions import Exit, TyperException
from typer.main import get_command

from descend.cli.attribute import attribute
from descend.cli.chat import chat
from descend.cli.check import check
from descend.cli.checklist import checklist
from descend.cli.clock import start_with_process
from descend.cli.compare import compare
from descend.cli.config import config_app
from descend.cli.config_flags import with_config_flags
from descend.cli.corpus import corpus_app
from descend.cli.diagnose import diagnose
from descend.cli.env import env
from descend.cli.evaluate import evaluate
from descend.cli.explain import explain
from descend.cli.export import export
from descend.cli.forecast import forecast
from descend.cli.generate import generate
from descend.cli.help_format import HelpCommand, HelpGroup
from descend.cli.improve import improve
from descend.cli.json_error import print_error, translate_usage
from descend.cli.learn import learn
from descend.cli.list import list_all
from descend.cli.plan import plan
from descend.cli.push import push
from descend.cli.report import report
from descend.cli.resume import resume
from descend.cli.search import search
from descend.cli.serve import serve
from descend.cli.show import show
from descend.cli.studio import studio
from descend.cli.tokenizer import tokenizer_app
from descend.cli.train import TRAIN_COMMON, continue_training, train
from descend.errors import (
    ConfigError,
    DescendError,
    OutOfMemoryError,
    UserError,
    format_error,
    is_memory_error,
    shorten,
)
from descend.guard import make_visible
from descend.launch_environment import check_verb, is_follower
from descend.version import __version__

HELP = """Train small language models on your own text, and find out why one does not learn.

`descend train` without a text trains on a built-in corpus, in about five minutes.
"""

app = typer.Typer(
    name="descend",
    cls=HelpGroup,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # `--embed_dim`, as the key is spelled in files and in Python, is the flag it means.
        "token_normalize_func": lambda flag: flag.replace("_", "-"),
    },
)


CTRL_C = 130
"""Exit code: 128 and the number of SIGINT."""

GC_THRESHOLD = 100_000
"""Objects made since the last look for circular garbage before the next; Python's own 700 has it
look hundreds of times while torch is imported, which makes millions, all to stay."""


def _version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        print(f"descend {__version__} (torch {version('torch')})")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    pass


def _add(name: str, panel: str, verb: Callable[..., None]) -> None:
    app.command(name, cls=HelpCommand, rich_help_panel=panel)(verb)


_LEFT_OUT = ("corpus_dir", "save_dir", "minutes", "lora_rank")
_add("train", "Train", with_config_flags(train, ("corpus_dir", "lora_rank"), TRAIN_COMMON))
_add(
    "continue",
    "Train",
    with_config_flags(continue_training, ("corpus_dir",), TRAIN_COMMON, continues_model=True),
)
_add("resume", "Train", resume)
_add("plan", "Train", plan)
app.add_typer(corpus_app, name="corpus", rich_help_panel="Train")
app.add_typer(tokenizer_app, name="tokenizer", rich_help_panel="Train")
_add("generate", "Use", generate)
_add("chat", "Use", chat)
_add("evaluate", "Use", evaluate)
_add("export", "Use", export)
_add("push", "Use", push)
_add("serve", "Use", serve)
_add("list", "Use", list_all)
_add("show", "Use", show)
_add("studio", "Use", studio)
_add("diagnose", "Diagnose", diagnose)
_add("improve", "Diagnose", improve)
_add("checklist", "Diagnose", checklist)
_add("report", "Diagnose", report)
_add("forecast", "Diagnose", forecast)
_add("check", "Diagnose", check)
_add("compare", "Experiment", with_config_flags(compare, _LEFT_OUT))
_add("attribute", "Experiment", attribute)
_add("search", "Experiment", with_config_flags(search, _LEFT_OUT))
_add("learn", "Learn", learn)
_add("explain", "Learn", explain)
app.add_typer(config_app, name="config", rich_help_panel="Learn")
_add("env", "Learn", env)


@cache
def _build_command() -> Any:
    """Return the parser of the command line, with every verb."""
    return get_command(app)


def main() -> None:
    """Entry point: run the verb and end with its exit code.

    0 done, 1 failure, 2 the user's mistake, 129 the terminal closed, 130 Ctrl-C, 143 SIGTERM.
    """
    from descend.cli.output import protect_streams, silence_output

    gc.set_threshold(GC_THRESHOLD)
    protect_streams()
    start_with_process()
    arguments = sys.argv[1:]
    with suppress(ConfigError):  # `check_verb` says what is wrong with the variables
        if is_follower():  # rank 0 prints for all processes
            silence_output()
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in own or bool(os.environ.get("DESCEND_DEBUG"))
    sys.exit(run([a for a in own if a != "--debug"] + arguments[len(own) :], debug))


def run(arguments: list[str], debug: bool = False) -> int:
    """Run the command line `arguments`; returns the exit code."""
    with_json = "--json" in arguments
    try:
        check_verb(arguments[0] if arguments else "")
        # What was typed goes along, for the verbs that write down how to repeat them.
        exit_code = _build_command()(
            arguments, prog_name="descend", standalone_mode=False, obj=arguments
        )
        if exit_code == CTRL_C:  # the parser makes an exit code of it, without a word
            raise KeyboardInterrupt
        return exit_code if isinstance(exit_code, int) else 0
    except Exit as end:
        return end.exit_code
    except TyperException as problem:
        if type(problem).__name__ == "NoArgsIsHelpError":  # typer exports no such name
            return run([*arguments, "--help"], debug)
        sentence = _format_usage_error(problem, arguments)
        if with_json and sentence:
            print_error("UsageError", sentence, problem.exit_code)
        return _fail(sentence, problem.exit_code, debug)
    except DescendError as problem:
        return _report(problem, with_json, debug)
    except (KeyboardInterrupt, EOFError):
        return _fail("Stopped.", CTRL_C, debug)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        from descend.cli.output import drop_output

        drop_output()
        return 0
    except BaseException as problem:
        refusal = _translate_system_error(problem)
        if refusal is not None:
            return _report(refusal, with_json, debug)
        code = getattr(problem, "exit_code", None)
        if code is None:
            if isinstance(problem, SystemExit):
                raise
            kind = type(problem).__name__
            say = (
                f"{kind}: {problem}. This is a bug in descend, not your mistake. Please report it "
                "with the output of --debug."
            )
            if with_json:
                print_error(kind, say, 1)
            return _fail(say, 1, debug)
        return _fail(str(problem), code, debug)


def _translate_system_error(problem: BaseException) -> DescendError | None:
    """Return a sentence for a memory that is used up, for a path that the system refuses, and for
    one of bytes that are no text."""
    if is_memory_error(problem):
        return OutOfMemoryError(
            "memory", "none left", "room for what the command needs",
            "close other programs, or choose a smaller model or text",
        )  # fmt: skip
    if isinstance(problem, OSError) and problem.filename is not None:
        from descend.runs.atomic_write import os_error_sentence

        return os_error_sentence(problem)
    if isinstance(problem, FileNotFoundError):  # the one without a name is of os.getcwd
        return UserError(
            "current folder", "one that was deleted", "a folder that is there",
            "change to another folder",
        )  # fmt: skip
    if isinstance(problem, UnicodeEncodeError) and problem.reason == "surrogates not allowed":
        return UserError(
            make_visible(shorten(problem.object)), "a name that is no text", "a name in UTF-8",
            "rename it",
        )  # fmt: skip
    return None


def _report(problem: DescendError, with_json: bool, debug: bool) -> int:
    """Print the sentence of `problem`, and return its exit code."""
    if with_json:
        print_error(type(problem).__name__, str(problem), problem.exit_code, problem)
    _fail(str(problem), problem.exit_code, debug)
    if problem.next_command:
        print(make_visible(f"next: {problem.next_command}"), file=sys.stderr)
    return problem.exit_code


def _format_usage_error(problem: TyperException, arguments: list[str]) -> str:
    """Typer's words with the verb they are about and where to read on."""
    message = problem.format_message().rstrip(".")
    if not message:
        return message
    context = getattr(problem, "ctx", None)
    parameters = context.command.params if context else ()
    message = translate_usage(message, [flag for p in parameters for flag in p.opts])
    verb = context.command_path if context else _verb(arguments)
    if error_text := _describe_flag_value(message, verb, arguments):
        return error_text
    end = "" if message.endswith("?") else "."
    return f"{verb}: {message[0].lower()}{message[1:]}{end} See `{verb} --help`."


def _describe_flag_value(message: str, verb: str, arguments: list[str]) -> str | None:
    """Return the four facts of a flag's value that the parser refuses; None for other messages."""
    match = re.fullmatch(r"Invalid value for (.*?'): expected (.*)", message)
    if match is None:
        return None
    flags = re.findall(r"'(--?[\w-]+)'", match[1])
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        flag, equals, value = argument.partition("=")
        if previous in flags:
            flag, value = previous, argument
        elif flag not in flags or not equals:
            continue
        return format_error(flag, value, match[2], f"see `{verb} --help`")
    return None


def _verb(arguments: list[str]) -> str:
    """Return the verb that `arguments` begin with, behind `descend`."""
    command, path = _build_command(), ["descend"]
    for word in arguments:
        child = getattr(command, "commands", {}).get(word)
        if child is None:
            break
        command, path = child, [*path, word]
    return " ".join(path)


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if message:
        prefix = "" if code in (129, CTRL_C, 143) else "error: "
        from descend.cli.output import print_status

        print_status(shorten(prefix + " ".join(message.split()), 4000))
    return code
