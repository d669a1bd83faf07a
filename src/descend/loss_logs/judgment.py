"""What is judged of a loss log, and what a judgment says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from descend.loss_logs.curve_features import CurveFeatures
from descend.loss_logs.expected_loss import ExpectedLoss
from descend.loss_logs.log import LossLog

EvidenceFacts = tuple[str, float, str, tuple[float | None, float | None], str]


@dataclass(frozen=True)
class Shape:
    """What is judged."""

    log: LossLog
    curve: CurveFeatures | None
    band: ExpectedLoss


@dataclass(frozen=True)
class LogVerdict:
    """What the rules say; `cause` is None for `healthy` and `unknown`."""

    verdict: str
    probability: float
    normal: str
    reason: str
    cause: str | None = None
    evidence: list[EvidenceFacts] = field(default_factory=list)
    recommended_config: dict[str, Any] = field(default_factory=dict)
    advice: str = ""
    ruled_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
