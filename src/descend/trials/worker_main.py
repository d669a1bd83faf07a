"""`python -m descend.trials.worker_main`: prints `READY`, reads one trial a line, prints messages.

The last message of a trial says what came of it, those before how far it is. With `steered` behind
it, each evaluation during a trial is a message too, and answered by a line: `STOP` ends the trial
there, any other lets it go on.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable

import msgspec

from descend.errors import DescendError
from descend.trials.cached_trial import run_trial
from descend.trials.trial_spec import EvalPoint, TrialSpec
from descend.trials.worker_pool import ADAPTIVE, READY, STOP, RemoteError, WorkerMessage


def main() -> None:
    """Work until standard input ends; then stop at once, in the middle of a trial if need be."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    # Whatever a library prints must not end up between our messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send_message(message: WorkerMessage) -> None:
        answers.write(msgspec.json.encode(message) + b"\n")
        answers.flush()

    def on_evaluation(point: EvalPoint) -> bool:
        send_message(WorkerMessage(point=point))
        return lines.get() == STOP

    def on_fraction(fraction: float) -> None:
        send_message(WorkerMessage(fraction_done=fraction))

    import descend.trials.trial  # noqa: F401  (it reads torch in, which takes seconds)

    answers.write(READY)
    answers.flush()
    is_adaptive = ADAPTIVE in sys.argv[1:]
    while True:
        spec = msgspec.json.decode(lines.get(), type=TrialSpec)
        send_message(
            run_trial_catching_errors(spec, on_evaluation if is_adaptive else None, on_fraction)
        )


def _listen(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)  # the parent process is gone


def run_trial_catching_errors(
    spec: TrialSpec,
    on_evaluation: Callable[[EvalPoint], bool] | None,
    on_fraction: Callable[[float], None],
    first: Callable[[], None] = lambda: None,
) -> WorkerMessage:
    """Return what came of `spec`, errors too, also those of what is done `first`."""
    try:
        first()
        return WorkerMessage(result=run_trial(spec, on_evaluation, on_fraction))
    except DescendError as problem:
        facts = (problem.location, problem.actual, problem.expected, problem.fix)
        return WorkerMessage(fault=RemoteError(type(problem).__name__, facts))
    except Exception as problem:
        return WorkerMessage(fault=RemoteError(type(problem).__name__, None, str(problem)))


if __name__ == "__main__":
    main()
