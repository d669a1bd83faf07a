"""What a step has a GPU do, recorded once and replayed: a CUDA graph.

A small network keeps a GPU waiting: to launch its hundreds of little kernels one by one takes
longer than to carry them out. Replayed, they are launched at once (docs/speed.md says what it
brings). The kernels stay the same, and so do the numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.machine import Execution
from descend.model.transformer import Transformer
from descend.training.precision import autocast_precision

NUM_WARMUP_CALLS = 3
"""Calls before a recording, as torch's own notes on CUDA graphs have it."""

LossFn = Callable[[Transformer, Tensor, Tensor, float], tuple[Tensor, Tensor]]


class CudaGraphLoss:
    """`compute` of one model, recorded anew whenever the model or the size of a batch is another.

    Only for whoever takes what comes out, the gradients too, before the next call: it lies where
    the next will lie. So batches must not be in parts whose gradients are added up.
    """

    def __init__(self, compute: LossFn, execution: Execution) -> None:
        self.compute, self.execution = compute, execution
        self.key: tuple[object, ...] = ()
        self.recorded: Callable[..., Any] = compute

    def __call__(
        self, model: Transformer, inputs_BT: Tensor, targets_BT: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """As `compute`; to be called within `autocast_precision`."""
        key = (id(model), inputs_BT.shape, label_smoothing, model.training)
        if key != self.key:
            self.recorded = self._record(model, inputs_BT, targets_BT, label_smoothing)
            self.key = key
        loss, hits = self.recorded(inputs_BT, targets_BT)
        return loss, hits

    def _record(
        self, model: Transformer, inputs_BT: Tensor, targets_BT: Tensor, label_smoothing: float
    ) -> Callable[..., Any]:
        weights = tuple(model.parameters())

        def forward(inputs: Tensor, targets: Tensor, *_weights: Tensor) -> tuple[Tensor, Tensor]:
            # The model holds the weights; torch asks for them to know whose gradients are needed.
            return self.compute(model, inputs, targets, label_smoothing)

        device = torch.device(self.execution.device)
        # Trying it out before the recording draws random numbers, which the step must not miss.
        rng_state = torch.cuda.get_rng_state(device)
        samples = (inputs_BT.clone().contiguous(), targets_BT.clone().contiguous(), *weights)
        with (
            torch.cuda.device(device),  # of several cards the one that the model is on
            autocast_precision(self.execution, keep=False),
            warnings.catch_warnings(),
        ):
            # It is recorded on a stream of its own, on purpose.
            warnings.filterwarnings("ignore", message=".*AccumulateGrad")
            recorded: Callable[..., Any] = torch.cuda.make_graphed_callables(
                forward, samples, allow_unused_input=True
            )
        torch.cuda.set_rng_state(rng_state, device)
        return lambda inputs, targets: recorded(inputs, targets, *weights)


class CudaGraphFunction:
    """`function` of a tensor on a GPU, recorded for each size that it is called with. It must draw
    no random numbers. What comes out lies where the next result of that size will lie."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function
        self.graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    @torch.no_grad()
    def __call__(self, input_tensor: Tensor) -> Tensor:
        """As `function`."""
        if input_tensor.shape not in self.graphs:
            self.graphs[input_tensor.shape] = self._record(input_tensor.clone())
        graph, read, written = self.graphs[input_tensor.shape]
        read.copy_(input_tensor)
        graph.replay()
        return written

    def _record(self, read: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        with torch.cuda.device(read.device):
            side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side_stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(
                side_stream
            ):  # libraries set themselves up before they are recorded
                for _ in range(NUM_WARMUP_CALLS):
                    self.function(read)
            torch.cuda.current_stream().wait_stream(side_stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                written = self.function(read)
        return graph, read, written
