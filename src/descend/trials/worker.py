"""`python -m descend.trials.worker`: `READY`, then one arm a line in, messages a line each out.

The last message of an arm says what came of it, those before how far it is. With `steered` behind
it, each judgment on the way is a message too, and answered by a line: `STOP` ends the arm there,
any other lets it go on.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable

import msgspec

from descend.errors import DescendError
from descend.trials.arms import TrialSpec, EvalPoint
from descend.trials.executor import run_trial
from descend.trials.workers import READY, STEERED, STOP, RemoteError, WorkerMessage


def main() -> None:
    """Work until standard input ends; then stop at once, in the middle of an arm if need be."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    # Whatever a library prints must not end up between our messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(message: WorkerMessage) -> None:
        answers.write(msgspec.json.encode(message) + b"\n")
        answers.flush()

    def seen(point: EvalPoint) -> bool:
        tell(WorkerMessage(point=point))
        return lines.get() == STOP

    def moved(share: float) -> None:
        tell(WorkerMessage(share=share))

    import descend.trials.trial  # noqa: F401  (it reads torch in, which takes seconds)

    answers.write(READY)
    answers.flush()
    steered = STEERED in sys.argv[1:]
    while True:
        arm = msgspec.json.decode(lines.get(), type=TrialSpec)
        tell(run_trial_catching_errors(arm, seen if steered else None, moved))


def _listen(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)  # whoever asked is gone


def run_trial_catching_errors(
    arm: TrialSpec,
    seen: Callable[[EvalPoint], bool] | None,
    moved: Callable[[float], None],
    first: Callable[[], None] = lambda: None,
) -> WorkerMessage:
    """What came of `arm`, errors too, also those of what is done `first`."""
    try:
        first()
        return WorkerMessage(outcome=run_trial(arm, seen, moved))
    except DescendError as problem:
        facts = (problem.location, problem.found, problem.expected, problem.fix)
        return WorkerMessage(fault=RemoteError(type(problem).__name__, facts))
    except Exception as problem:
        return WorkerMessage(fault=RemoteError(type(problem).__name__, None, str(problem)))


if __name__ == "__main__":
    main()
