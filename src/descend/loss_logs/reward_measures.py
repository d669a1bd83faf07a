"""The numbers of reinforcement learning in a log, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from descend.loss_logs.column_names import Role
from descend.loss_logs.log import Measure
from descend.loss_logs.log_row import Row

COUNTERS = ("timesteps", "steps", "epochs")
"""What places of a measure count, the most exact first."""
MAX_VALUES = 40_000
"""Of a measure: then every second is dropped."""


@dataclass
class RewardMeasures:
    """The values of each reward and of each divergence, by their names."""

    values: dict[tuple[Role, str], list[tuple[tuple[float | None, ...], float]]] = field(
        default_factory=dict
    )
    """Places by each of `COUNTERS`, and value."""

    def add(self, row: Row) -> None:
        """Note the measures of a row."""
        if not row.measures:
            return
        timesteps = next((v for meaning, v in row.measures if meaning.role == "timesteps"), None)
        for meaning, value in row.measures:
            if meaning.role != "timesteps":
                values = self.values.setdefault((meaning.role, meaning.name), [])
                values.append(((timesteps, row.step, row.epoch), value))
                if len(values) > MAX_VALUES:
                    del values[1:-1:2]

    def select(self, role: Role) -> Measure | None:
        """Return the measure of a role that was logged the most often; None where none was."""
        of_role = {name: v for (own, name), v in self.values.items() if own == role}
        if not of_role:
            return None
        name = max(of_role, key=lambda own: len(of_role[own]))
        values = of_role[name]
        for index, counter in enumerate(COUNTERS):
            pairs = [(at, value) for places, value in values if (at := places[index]) is not None]
            if len(pairs) == len(values):
                return Measure(name=name, counter=counter, values=pairs)
        numbered = [(float(n), value) for n, (_, value) in enumerate(values, 1)]
        return Measure(name=name, counter="log entries", values=numbered)
