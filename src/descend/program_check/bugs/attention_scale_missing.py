"""The scale of attention is missing.

What it is:
    The products of query and key are not divided by the root of the head size.

How it shows:
    The softmax is saturated early: attention looks at one place only, gradients vanish, training
    is slow or unstable, the more so with large heads.

Not to be confused:
    A scale that is put into the weights at the start (T5), or normed queries and keys with a scale
    that is learned.

Proof:
    One forward is followed operation by operation: by what was each table of scores multiplied
    between the weights of query and key and the softmax?

How to fix:
    q @ k.transpose(-2, -1) / math.sqrt(head size), or `scaled_dot_product_attention`.

When it is not this:
    A division by the head size itself (muP).

Source:
    Vaswani et al. 2017, section 3.2.1.
"""

from __future__ import annotations

import math
import re

from torch import nn

from descend.program_check.bug import Bug, name_of
from descend.program_check.probes.attention_scores import AttentionScore, trace_attention_scores
from descend.program_check.program import Program
from descend.program_check.results import BugAbsent, BugPresent, CheckResult, Remark

UNSCALED = 0.9
"""Factor from which scores count as not divided: 1 if nothing was done, 0.5 at a head size of 4."""

MIN_HEAD = 4

QUERY = re.compile(r"(^|[._])(w?q|query|q_proj|to_q|wq)([._]|$)", re.IGNORECASE)
KEY = re.compile(r"(^|[._])(w?k|key|k_proj|to_k|wk)([._]|$)", re.IGNORECASE)

IN_THE_WEIGHTS = 1.5
"""Factor within which queries must be smaller than keys by 1 / sqrt(head size)."""


def look(program: Program) -> CheckResult:
    """Follow the scores of one forward."""
    score_scales = program.run_probe_once(trace_attention_scores)
    bare = [
        s for s in score_scales if not s.free and s.head_size >= MIN_HEAD and s.factor >= UNSCALED
    ]
    if not bare or all(_in_weights(program.model, s) for s in bare):
        return BugAbsent(
            f"{len(score_scales)} tables of scores, scaled by {score_scales[0].factor:.3g} at a"
            f" head size of {score_scales[0].head_size}"
        )
    evidence = (
        f"{len(bare)} of {len(score_scales)} tables of scores are multiplied by"
        f" {bare[0].factor:.3g}; 1 / sqrt({bare[0].head_size}) is {bare[0].head_size ** -0.5:.3g}"
    )
    where = program.source_location("model")
    if type(program.model).__module__.startswith("transformers."):
        return Remark(evidence + "; this published architecture was trained so", where)
    return BugPresent(evidence, where)


def _in_weights(model: nn.Module, score: AttentionScore) -> bool:
    named = {n: p for n, p in model.named_parameters() if p.ndim == 2}
    queries = [float(p.std()) for n, p in named.items() if QUERY.search(n)]
    keys = [float(p.std()) for n, p in named.items() if KEY.search(n)]
    if not queries or not keys or min(keys) == 0:
        return False
    return queries[0] / keys[0] < IN_THE_WEIGHTS / math.sqrt(score.head_size)


BUG = Bug(name_of(__name__), look, "divide the scores by the root of the head size")
