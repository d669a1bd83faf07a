"""The weights of a program's network: which are used, which look fresh, which can learn."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from descend.program_check.probes.dry_run import DryRun, dry_run
from descend.program_check.probes.network import evaluation_probe_mode
from descend.program_check.probes.recorded_forward import repeated_forward
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError

MIN_MATRIX = 8
"""Rows and columns from which the spectrum of a matrix says whether it is random."""

MAX_CORNER = 256
"""Of larger matrices this corner is looked at."""

RANDOM_EDGE = 1.3
"""Largest singular value of a random matrix over deviation x (sqrt rows + sqrt columns): 1 for
large ones (Marchenko and Pastur 1967), up to 1.2 at 8 x 8; training adds directions above it."""

MAX_PERTURBED = 64
"""Weights that are shaken, each with a forward of its own."""


def try_dry_run(program: Program) -> DryRun | None:
    """Return the dry run, where the program has steps to run."""
    try:
        return program.run_probe_once(dry_run)
    except UndeterminedError:
        return None


def looks_random(weight: Tensor) -> bool:
    """Return whether a matrix is as it was drawn: no direction stands out from the noise."""
    if weight.ndim != 2 or min(weight.shape) < MIN_MATRIX:
        return False
    corner = weight.detach()[:MAX_CORNER, :MAX_CORNER].float()
    deviation = float(corner.std())
    if not math.isfinite(deviation) or deviation == 0:
        return False
    edge = deviation * (math.sqrt(corner.shape[0]) + math.sqrt(corner.shape[1]))
    return float(torch.linalg.matrix_norm(corner, 2)) < RANDOM_EDGE * edge


def looks_untrained(model: nn.Module) -> bool:
    """Return whether most matrices are as they were drawn: the network has not been trained."""
    matrices = [p for p in model.parameters() if p.ndim == 2 and min(p.shape) >= MIN_MATRIX]
    return 2 * sum(map(looks_random, matrices[:24])) > min(24, len(matrices))


def weights_affecting_logits(program: Program, names: list[str]) -> list[str]:
    """Return those of `names` that the logits depend on; `UndeterminedError` where it cannot be
    tested."""
    forward = repeated_forward(program)
    weights = dict(program.model.named_parameters())
    affecting_names = []
    with evaluation_probe_mode(program.model):
        base = forward()
        for name in names[:MAX_PERTURBED]:
            weight = weights[name]
            saved_weight = weight.detach().clone()
            size = float(saved_weight.float().std()) if saved_weight.numel() > 1 else 0.0
            noise = torch.randn_like(saved_weight.float()) * (size or 1.0)
            weight.add_(noise.to(saved_weight.dtype))
            if not torch.equal(forward(), base):
                affecting_names.append(name)
            weight.copy_(saved_weight)
    return affecting_names


def weights_without_gradient(program: Program) -> list[str]:
    """Return trainable weights that no gradient of the logits comes to, though they count."""
    forward = repeated_forward(program)
    model = program.model
    model.train()
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and p.is_leaf]
    if not named:
        return []
    with torch.enable_grad():
        logits = forward()
        if not logits.requires_grad:
            return [n for n, _ in named]
        grads = torch.autograd.grad(
            logits.float().square().sum(), [p for _, p in named], allow_unused=True
        )
    return [n for (n, _), g in zip(named, grads, strict=True) if g is None]
