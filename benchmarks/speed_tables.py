"""The measured tables of docs/speed.md, from benchmarks/results/speed/."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict

from shown import RESULTS, markdown, read


def span(three: list[float]) -> str:
    """Median with the least and the most, where they differ."""
    least, middle, most = three
    return f"{middle:.2f}" if least == most else f"{middle:.2f} ({least:.2f} to {most:.2f})"


def tokens() -> str:
    """Tokens a second of each contestant."""
    rows = [
        [
            r["size"], r["contestant"], str(r["rounds"]), f"{r['tokens_per_second']:,}",
            span(r["descend_is_times_as_fast"]), f"{r['peak_megabytes']:,}",
        ]
        for r in read("speed/tokens_per_second.json")["summary"]
    ]  # fmt: skip
    head = ["size", "contestant", "rounds", "tokens/s", "descend is times as fast", "peak MB"]
    return markdown(head, rows)


def to_loss() -> str:
    """Seconds from the key press and what was reached."""
    rows = []
    for file in sorted((RESULTS / "speed").glob("time_to_loss_*.json")):
        for r in json.loads(file.read_text())["raw"]:
            first = f"{r['first_step_after']:.1f}" if "first_step_after" in r else ""
            bits = f"{r['bits_per_byte']:.3f}" if "bits_per_byte" in r else ""
            rows.append([
                file.stem.removeprefix("time_to_loss_"), r["run"], f"{r['seconds']:.1f}", first,
                f"{r['loss']:.3f}", bits,
            ])  # fmt: skip
    if not rows:
        return ""
    head = ["text", "run", "seconds, all in all", "first step after", "held-out loss",
            "bits per byte"]  # fmt: skip
    return markdown(head, rows)


def writing() -> str:
    """Generation."""
    rows = [
        [
            str(r["prompts"]), f"{r['descend']:,}", f"{r['transformers']:,}",
            span(r["descend_is_times_as_fast"]),
        ]
        for r in read("speed/generation.json")["summary"]
    ]  # fmt: skip
    return markdown(
        ["prompts", "descend, tokens/s", "transformers, tokens/s", "times as fast"], rows
    )


def starting() -> str:
    """Start-up."""
    rows = [
        [r["run"], str(r["rounds"]), "{1:.1f} ({0:.1f} to {2:.1f})".format(*r["seconds"])]
        for r in read("speed/first_step.json")["summary"]
    ]
    return markdown(["run", "rounds", "first step after, s"], rows)


def corpora() -> str:
    """Growth with the text."""
    stages = ("reading", "tokenizer", "tokens")
    rows = [
        [
            f"{r['megabytes']:,.0f}", f"{r['documents']:,}",
            *(f"{r[f'{stage}_seconds']:.1f}" for stage in stages),
            f"{max(r[f'{stage}_anonymous_megabytes'] for stage in stages):,.0f}",
            f"{r['training_anonymous_megabytes']:,.0f}",
            f"{max(r[f'{stage}_megabytes'] for stage in (*stages, 'training')):,.0f}",
            "at rest" if r["at_rest"] else "busy",
        ]
        for r in sorted(read("speed/growth.json")["corpora"],
                        key=lambda r: (round(r["megabytes"]), r["documents"]))
    ]  # fmt: skip
    head = ["MB of text", "documents", "reading, s", "training the tokenizer, s",
            "encoding and baselines, s", "MB of its own, preparing", "MB of its own, training",
            "MB with mapped files", "machine"]  # fmt: skip
    return markdown(head, rows)


def models() -> str:
    """Growth with the width of the network."""
    found: dict[int, list[dict[str, float]]] = defaultdict(list)
    for r in read("speed/growth.json")["models"]:
        found[r["width"]].append(r)
    rows = []
    for width, runs in sorted(found.items()):
        tokens, memory = (
            statistics.median(r[key] for r in runs)
            for key in ("tokens_per_second", "peak_megabytes")
        )
        rows.append([str(width), str(len(runs)), f"{tokens:,.0f}", f"{memory:,.0f}"])
    return markdown(["width", "runs", "tokens/s", "peak MB"], rows)


def recording() -> str:
    """What records cost."""
    rows = [
        [size, str(r["steps"]), f"{r['seconds']:.1f}", f"{r['recording_seconds']:.3f}",
         f"{r['share']:.2%}"]
        for size, r in read("speed/recording.json")["sizes"].items()
    ]  # fmt: skip
    return markdown(["network", "steps", "training, s", "of it recording, s", "share"], rows)


def tokenizing() -> str:
    """Tokenizers: learning and encoding."""
    rows = [
        [r["text"], f"{r['megabytes']:.1f}", r["who"], span(r["training_megabytes_per_second"]),
         span(r["encoding_megabytes_per_second"])]
        for r in read("speed/tokenizing.json")["summary"]
    ]  # fmt: skip
    return markdown(["text", "MB", "who", "learning, MB/s", "encoding, MB/s"], rows)
