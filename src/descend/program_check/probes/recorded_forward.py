"""The network called as a step of the program calls it, with or without token ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from descend.program_check.probes.call_program import call_part
from descend.program_check.probes.data_source import read_first_batches
from descend.program_check.probes.network import make_network_handle
from descend.program_check.probes.token_influence import first_tensor
from descend.program_check.program import Program
from descend.program_check.results import UndeterminedError


@dataclass(frozen=True)
class RecordedCall:
    """A call of the network in a step."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor

    @property
    def tensors(self) -> list[Tensor]:
        """Tensors among the arguments."""
        return [v for v in (*self.args, *self.kwargs.values()) if isinstance(v, Tensor)]

    def run(self, model: nn.Module, swaps: dict[int, Tensor] | None = None) -> Tensor:
        """Call the network again, with other tensors by the ids of those they stand for."""

        def swap(value: Any) -> Any:
            return (swaps or {}).get(id(value), value)

        kwargs = {k: swap(v) for k, v in self.kwargs.items()}
        output = first_tensor(model(*map(swap, self.args), **kwargs))
        if output is None or output.shape != self.output.shape:
            raise UndeterminedError("the network gives something else when it is called again")
        return output.float()


def record_two_calls(program: Program) -> tuple[RecordedCall, RecordedCall]:
    """Return the first call of the network in each of two steps."""
    batches = program.run_probe_once(read_first_batches).batches if program.has("batches") else ()
    calls: list[RecordedCall] = []
    for number in range(2):
        of_step: list[RecordedCall] = []

        def note(
            _module: nn.Module, args: Any, kwargs: Any, output: Any,
            noted: list[RecordedCall] = of_step,
        ) -> None:  # fmt: skip
            result = first_tensor(output)
            if result is not None:
                noted.append(RecordedCall(args, dict(kwargs), result))

        hook = program.model.register_forward_hook(note, with_kwargs=True)
        try:
            call_part(program, "step", *batches[number % len(batches) :][:1] if batches else ())
        finally:
            hook.remove()
        if not of_step:
            raise UndeterminedError("a step does not call the network for an output")
        calls.append(of_step[0])
    return calls[0], calls[1]


def repeated_forward(program: Program) -> Callable[[], Tensor]:
    """Return a function that calls the network on the same input each time."""
    try:
        net = program.run_probe_once(make_network_handle)
    except UndeterminedError as reason:
        try:
            call = program.run_probe_once(record_two_calls)[0]
        except UndeterminedError:
            raise reason from None
        return lambda: call.run(program.model)
    return lambda: net.forward(net.ids_BT)
