"""The measured tables of docs/speed.md, from benchmarks/results/speed/."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

from result_files import RESULTS, markdown, read, select_columns


def span(three: list[float]) -> str:
    """Median with the least and the most, where they differ."""
    low, middle, high = three
    return f"{middle:.2f}" if low == high else f"{middle:.2f} ({low:.2f} to {high:.2f})"


MACHINES = ("epyc", "xeon")
"""Folders of results that depend on the processor; docs/speed.md says which these are."""


def by_machine(name: str) -> list[tuple[str, dict[str, Any]]]:
    """The result of that name of each machine that has one."""
    there = [m for m in MACHINES if (RESULTS / "speed" / m / f"{name}.json").exists()]
    return [(machine, read(f"speed/{machine}/{name}.json")) for machine in there]


def tokens() -> str:
    """Tokens a second of each arm."""
    rows = [
        [
            machine, r["size"], r["arm"], str(r["rounds"]), f"{r['tokens_per_second']:,}",
            span(r["descend_is_times_as_fast"]), f"{r['peak_megabytes']:,}",
        ]
        for machine, stored in by_machine("tokens_per_second") for r in stored["summary"]
    ]  # fmt: skip
    head = [
        "machine",
        "size",
        "program",
        "rounds",
        "tokens/s",
        "descend is times as fast",
        "peak MB",
    ]
    return markdown(head, rows)


def tokens_guide() -> str:
    """Tokens a second at the size of the guide on *xeon*, which ran the present version."""
    columns = ("machine", "size", "program", "tokens/s", "descend is times as fast")
    head, line, *rows = select_columns(tokens(), columns).splitlines()
    selected = [row for row in rows if row.startswith("| xeon | guide | ")]
    return select_columns("\n".join([head, line, *selected]), columns[2:])


def to_loss() -> str:
    """Seconds from the key press and what was reached."""
    rows = []
    for text in ("tinyshakespeare", "quijote_1mb"):
        for machine, stored in by_machine(f"time_to_loss_{text}"):
            for r in stored["raw"]:
                first = f"{r['first_step_after']:.1f}" if "first_step_after" in r else ""
                bits = f"{r['bits_per_byte']:.3f}" if "bits_per_byte" in r else ""
                rows.append([machine, text, r["run"], f"{r['seconds']:.1f}", first,
                             f"{r['loss']:.3f}", bits])  # fmt: skip
    head = ["machine", "text", "run", "seconds", "first step after", "validation loss",
            "bits per byte"]  # fmt: skip
    return markdown(head, rows)


def to_loss_short() -> str:
    """Time and bits per byte of the runs on tiny Shakespeare on *xeon*."""
    rows = [
        [r["run"], f"{r['seconds']:.1f}", f"{r['bits_per_byte']:.3f}"]
        for machine, stored in by_machine("time_to_loss_tinyshakespeare") if machine == "xeon"
        for r in stored["raw"]
    ]  # fmt: skip
    return markdown(["run", "seconds", "bits per byte"], rows)


def writing() -> str:
    """Generation."""
    rows = [
        [
            machine, str(r["prompts"]), f"{r['descend']:,}", f"{r['transformers']:,}",
            span(r["descend_is_times_as_fast"]),
        ]
        for machine, stored in by_machine("generation") for r in stored["summary"]
    ]  # fmt: skip
    return markdown(
        ["machine", "prompts", "descend, tokens/s", "transformers, tokens/s", "times as fast"], rows
    )


def starting() -> str:
    """Start-up."""
    rows = [
        [machine, r["run"], str(r["rounds"]),
         "{1:.1f} ({0:.1f} to {2:.1f})".format(*r["seconds"])]
        for machine, stored in by_machine("first_step") for r in stored["summary"]
    ]  # fmt: skip
    return markdown(["machine", "run", "rounds", "first step after, s"], rows)


def corpora() -> str:
    """Growth with the text."""
    stages = ("reading", "tokenizer", "tokens")
    rows = [
        [
            machine, f"{r['megabytes']:,.0f}", f"{r['documents']:,}",
            *(f"{r[f'{stage}_seconds']:.1f}" for stage in stages),
            f"{max(r[f'{stage}_anonymous_megabytes'] for stage in stages):,.0f}",
            f"{r['training_anonymous_megabytes']:,.0f}",
            f"{max(r[f'{stage}_megabytes'] for stage in (*stages, 'training')):,.0f}",
            "at rest" if r["at_rest"] else "busy, one thread",
        ]
        for machine, stored in by_machine("growth")
        for r in sorted(stored["corpora"], key=lambda r: (round(r["megabytes"]), r["documents"]))
    ]  # fmt: skip
    head = ["machine", "MB of text", "documents", "reading, s", "training the tokenizer, s",
            "encoding and baselines, s", "MB of its own, preparing", "MB of its own, training",
            "MB with mapped files", "which was"]  # fmt: skip
    return markdown(head, rows)


def corpora_short() -> str:
    """Growth with the text on *xeon*, where the machine was idle."""
    columns = ("machine", "MB of text", "documents", "reading, s", "training the tokenizer, s",
               "encoding and baselines, s", "MB of its own, training")  # fmt: skip
    head, line, *rows = select_columns(corpora(), columns).splitlines()
    selected = [row for row in rows if row.startswith("| xeon ")]
    return select_columns("\n".join([head, line, *selected]), columns[1:])


def models() -> str:
    """Growth with the width of the network."""
    stored: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
    for machine, record in by_machine("growth"):
        for r in record["models"]:
            stored[machine, r["width"]].append(r)
    rows = []
    for (machine, width), runs in sorted(stored.items()):
        tokens, memory = (
            statistics.median(r[key] for r in runs)
            for key in ("tokens_per_second", "peak_megabytes")
        )
        rows.append([machine, str(width), str(len(runs)), f"{tokens:,.0f}", f"{memory:,.0f}"])
    return markdown(["machine", "width", "runs", "tokens/s", "peak MB"], rows)


def recording() -> str:
    """What records cost."""
    rows = [
        [size, str(r["steps"]), f"{r['seconds']:.1f}", f"{r['recording_seconds']:.3f}",
         f"{r['share']:.2%}"]
        for size, r in read("speed/xeon/recording.json")["sizes"].items()
    ]  # fmt: skip
    return markdown(["network", "steps", "training, s", "of it recording, s", "share"], rows)


def tokenizing() -> str:
    """Tokenizers: learning and encoding."""
    rows = [
        [r["text"], f"{r['megabytes']:.1f}", r["who"], span(r["training_megabytes_per_second"]),
         span(r["encoding_megabytes_per_second"])]
        for r in read("speed/xeon/tokenizing.json")["summary"]
    ]  # fmt: skip
    return markdown(["text", "MB", "who", "learning, MB/s", "encoding, MB/s"], rows)
