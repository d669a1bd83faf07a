"""The numbers of reinforcement learning in a log, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field

from descend.loss_logs.column_names import Role
from descend.loss_logs.log import Measure
from descend.loss_logs.log_row import Row

MAX_VALUES = 40_000
"""Of a measure: then every second is dropped."""


@dataclass
class RewardMeasures:
    """The values of each reward and of each divergence, by their names."""

    values: dict[tuple[Role, str], list[tuple[float | None, float | None, float]]] = field(
        default_factory=dict
    )
    """Timesteps, step of the row, and value."""

    def add(self, row: Row) -> None:
        """Note the measures of a row."""
        if not row.measures:
            return
        timesteps = next((v for meaning, v in row.measures if meaning.role == "timesteps"), None)
        for meaning, value in row.measures:
            if meaning.role != "timesteps":
                values = self.values.setdefault((meaning.role, meaning.name), [])
                values.append((timesteps, row.step, value))
                if len(values) > MAX_VALUES:
                    del values[1:-1:2]

    def select(self, role: Role) -> Measure | None:
        """Return the measure of a role that was logged the most often; None where none was."""
        of_role = {name: v for (own, name), v in self.values.items() if own == role}
        if not of_role:
            return None
        name = max(of_role, key=lambda own: len(of_role[own]))
        values = of_role[name]
        for index, counter in enumerate(("timesteps", "steps")):
            places = [value[index] for value in values]
            if None not in places:
                pairs = [(p, v[2]) for p, v in zip(places, values, strict=True) if p is not None]
                return Measure(name=name, counter=counter, values=pairs)
        return Measure(
            name=name, counter="entries", values=[(n, v[2]) for n, v in enumerate(values, 1)]
        )
