"""Per weight matrix: how large it is, how large its gradient, how far one step moves it.

Source of the update-to-weight ratio and its usual value near 0.001: Karpathy, "Building
makemore part 3" (2022). Cost class: cheap; a copy of the weights every 25 steps.
"""

from __future__ import annotations

from torch import Tensor, nn

from descend.runs.events import WeightUpdateStats

RECORD_EVERY_STEPS = 25
"""Steps between two records: keeps the cost under 1 % of training."""


class WeightUpdateRecorder:
    """Looks at the weights before and after an update; never touches them.

    Use: `watch.before(model)`, step, `watch.after(model, step)`.
    """

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}
        self._gradient_rms: dict[str, float] = {}

    def before(self, model: nn.Module) -> None:
        """Remember weights and gradient sizes of trainable matrices (rows, columns)."""
        self.remember_weights(model)
        self.read_gradients(model)

    def remember_weights(self, model: nn.Module) -> None:
        """Remember the weights before the update."""
        self._before = {name: weight.detach().clone() for name, weight in self.matrices(model)}

    def read_gradients(self, model: nn.Module) -> None:
        """Remember the gradient sizes of the update, before or after it."""
        for name, weight in self.matrices(model):
            gradient = weight.grad
            self._gradient_rms[name] = 0.0 if gradient is None else self.rms(gradient)

    def after(self, model: nn.Module, step: int) -> WeightUpdateStats:
        """Return the record of the update that came between."""
        weight_rms, ratio = {}, {}
        for name, weight in self.matrices(model):
            old = self._before.pop(name)
            weight_rms[name] = self.rms(old)
            ratio[name] = self.rms(weight.detach() - old) / max(weight_rms[name], 1e-12)
        return WeightUpdateStats(step, weight_rms, dict(self._gradient_rms), ratio)

    def matrices(self, model: nn.Module) -> list[tuple[str, nn.Parameter]]:
        """Return the trainable matrices of `model` by name."""
        named = model.named_parameters()
        return [(name, p) for name, p in named if p.ndim == 2 and p.requires_grad]

    def rms(self, x: Tensor) -> float:
        """Return the root mean square of `x`."""
        return float(x.detach().float().square().mean().sqrt())
