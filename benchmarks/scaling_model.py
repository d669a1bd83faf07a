"""What a step costs on 1 to 1,024 processes: a simple model with constants measured on two.

The work of a process stays the same (weak scaling). A ring sends each number twice, but for the
part of the process itself (Patarasuk and Yuan 2009), in 2 (N - 1) messages one after the other.
Nothing is sent while gradients are still computed, which makes the model pessimistic.
"""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from result_files import markdown, read

from descend.config import RunConfig
from descend.model.cost import parameter_count
from descend.model.shape import shape_from_run_config

WORKERS = (1, 2, 4, 8, 16, 64, 256, 1024)
RESULT = "speed/amx/processes.json"
VOCABULARY = 2048
"""Tokens that the default recipe chooses for half a megabyte to three megabytes of text."""

FLOAT32 = 4
STATE_BYTES = 16
"""Bytes for each weight: itself, its gradient, and two numbers of AdamW."""


class Link(NamedTuple):
    """How fast two processes exchange."""

    latency_seconds: float
    """Of one message."""
    bytes_per_second: float


def measured_link(record: dict[str, Any]) -> Link:
    """Return the link that two exchanges of `processes.py` tell: the smallest, and 16 MB.

    Two processes send half the bytes twice, in two messages.
    """
    seconds = record["exchange_seconds"]["all_reduce"]
    latency = seconds["0.001"] / 2
    return Link(latency, 16e6 / max(seconds["16.0"] - 2 * latency, 1e-9))


def sent_bytes(workers: int, parameters: int) -> float:
    """Return the bytes that each process sends in a step of DDP."""
    return 2 * FLOAT32 * parameters * (workers - 1) / workers


def exchange_seconds(workers: int, parameters: int, link: Link) -> float:
    """Return the seconds of the exchange of all gradients."""
    messages = 2 * (workers - 1)
    return messages * link.latency_seconds + sent_bytes(workers, parameters) / link.bytes_per_second


def processes() -> str:
    """One process of all threads against processes of one thread."""
    labels = {
        "whole_program": "whole `descend train`, start-up included",
        "step": "one step",
        "step_gain_of_shared_muon": "one step, beside processes that each do all of Muon",
        "weak_scaling_efficiency": "weak scaling, a whole batch for each process",
    }
    summary = read(RESULT)["summary"]
    rows = [
        [label, "{median:.2f} ({min:.2f} to {max:.2f})".format(**summary[key]),
         str(summary[key]["rounds"])]
        for key, label in labels.items()
    ]  # fmt: skip
    return markdown(["two processes of one thread", "times as fast", "rounds"], rows)


def scaling() -> str:
    """Memory, bytes sent, and efficiency of the default network by number of processes."""
    record = read(RESULT)
    parameters = parameter_count(shape_from_run_config(RunConfig(), VOCABULARY))
    link = measured_link(record)
    compute = statistics.median(
        r["step_seconds"] for r in record["raw"] if r["arm"] == "one process of one thread"
    )
    rows = []
    for workers in WORKERS:
        exchange = exchange_seconds(workers, parameters, link)
        rows.append([
            f"{workers:,}", f"{STATE_BYTES * parameters / 1e6:,.1f}",
            f"{STATE_BYTES * parameters / workers / 1e6:,.1f}",
            f"{sent_bytes(workers, parameters) / 1e6:,.1f}", f"{exchange:.3f}",
            f"{compute / (compute + exchange):.0%}",
        ])  # fmt: skip
    head = ["processes", "MB on each, DDP", "MB on each, sharded (FSDP2)", "MB sent a step",
            "exchange, s", "efficiency"]  # fmt: skip
    return markdown(head, rows)
