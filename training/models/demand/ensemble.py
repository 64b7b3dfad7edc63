"""Forecasts of past origins by several members in, weights of the members out.

Members are the global model and the classical methods of `features.demand.statistical_forecasts`.
Weights are not negative, sum to one and are fitted for each volume class and segment of the
horizon on the out-of-fold forecasts of past origins, shrunk towards the global model. A member
changes the level of a forecast, not the effect of a plan: its forecast is compared with what the
global model expects under usual promotions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl

from features.demand.statistical_forecasts import PREFIX
from features.errors import InvalidInput
from features.typing import Floats, Ints

GLOBAL = "global_model"
# First days ahead of the horizon's segments.
SEGMENT_DAYS = (0, 28, 91, 182)
# Volume classes of equal count of rows, and the fewest rows of one class and segment.
_CLASSES, _MIN_ROWS = 3, 300
# Bounds of a member's forecast over the global model's: beyond them one of the two is broken.
_BOUNDS = (0.1, 4.0)
# Standard deviation of a weight before data, and times that the error which it is weighed against
# is measured anew.
_PRIOR_DEVIATION = 0.5
_ITERATIONS = 4


@dataclass(frozen=True)
class EnsembleWeights:
    """Weights of the members by volume class and segment of the horizon.

    Attributes
    ----------
    members
        `GLOBAL` first, then the classical methods.
    edges
        Upper bound of the level of each volume class but the last, units per period; ascending.
    segments
        First day ahead of each segment of the horizon; ascending, the first is 0.
    weights
        Shape (volume classes, segments, members).
    """

    members: tuple[str, ...]
    edges: tuple[float, ...]
    segments: tuple[int, ...]
    weights: Floats

    @classmethod
    def global_alone(cls) -> Self:
        """Return the weights of an ensemble of the global model alone."""
        return cls((GLOBAL,), (), SEGMENT_DAYS[:1], np.ones((1, 1, 1)))

    @classmethod
    def fit(cls, rows: pl.DataFrame, usual: Floats, forecast: Floats, period_days: int) -> Self:
        """Fit on out-of-fold forecasts.

        Parameters
        ----------
        rows
            Features of past origins with `units`, `day`, `step`, `level_now` and the members'
            forecasts.
        usual, forecast
            Out-of-fold forecast of the global model of each row under usual promotions, and under
            the plan of the row.
        period_days
            Days of a period.

        Notes
        -----
        Weighted least squares: squared errors over the forecast, as the variance of a count
        grows with its mean. The ridge towards the global model corresponds to a prior deviation
        of `_PRIOR_DEVIATION` and to one independent error per week of targets: a common movement
        moves all series of a week.
        """
        members = tuple(c.removeprefix(PREFIX) for c in rows.columns if c.startswith(PREFIX))
        ratios = _ratios(rows, members, usual)
        some = [i for i in range(len(members)) if (ratios[:, i + 1] != 1).any()]
        members = tuple(members[i] for i in some)
        if not members:
            return cls.global_alone()
        ratios = ratios[:, [0, *(i + 1 for i in some)]]
        units, week, level, step = (
            rows.get_column(c).to_numpy() for c in ("units", "day", "level_now", "step")
        )
        edges = _edges(level)
        segments = tuple(day for day in SEGMENT_DAYS if day <= step.max() * period_days)
        weights = np.zeros((len(edges) + 1, len(segments), len(members) + 1))
        weights[:, :, 0] = 1.0
        fitted = cls((GLOBAL, *members), edges, segments, weights)
        group, segment = fitted._cells(rows, period_days)
        for cell in np.ndindex(weights.shape[:2]):
            chosen = (group == cell[0]) & (segment == cell[1])
            if chosen.sum() < _MIN_ROWS:
                continue
            independent = len(np.unique(week[chosen] // 7))
            weights[cell] = simplex_weights(
                ratios[chosen], units[chosen], forecast[chosen], independent
            )
        return fitted

    @property
    def trivial(self) -> bool:
        """Whether the global model has all the weight."""
        return bool((self.weights[:, :, 0] == 1.0).all())

    def factor(self, frame: pl.DataFrame, usual: Floats, period_days: int) -> Floats:
        """Return by what the global model's forecast of each row is multiplied.

        Raises
        ------
        InvalidInput
            If the features lack a member with weight.
        """
        ratios = _ratios(frame, self.members[1:], usual)
        factors: Floats = (ratios * self.weights[self._cells(frame, period_days)]).sum(axis=1)
        return factors

    def _cells(self, frame: pl.DataFrame, period_days: int) -> tuple[Ints, Ints]:
        """Return the volume class and the segment of the horizon of each row."""
        level, step = (frame.get_column(c).to_numpy() for c in ("level_now", "step"))
        segment = np.searchsorted(self.segments, step * period_days, side="right") - 1
        return np.searchsorted(self.edges, level, side="left"), segment

    def describe(self) -> list[dict[str, Any]]:
        """Return the members' weights, a row per volume class and segment of the horizon."""
        bounds = [0.0, *self.edges, None]
        return [
            {
                "units_per_period_from": bounds[group],
                "units_per_period_to": bounds[group + 1],
                "days_ahead_from": self.segments[segment],
                **dict(zip(self.members, map(float, self.weights[group, segment]), strict=True)),
            }
            for group, segment in np.ndindex(self.weights.shape[:2])
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "members": self.members,
            "edges": self.edges,
            "segments": self.segments,
            "weights": self.weights.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            tuple(content["members"]),
            tuple(content["edges"]),
            tuple(content["segments"]),
            np.array(content["weights"]),
        )


def simplex_weights(ratios: Floats, units: Floats, forecast: Floats, independent: int) -> Floats:
    """Return weights, not negative and with sum one, shrunk towards the first member.

    Parameters
    ----------
    ratios
        Each member's forecast over that of the first, shape (rows, members).
    units, forecast
        Outcome and forecast of the first member of each row.
    independent
        Number of independent examples in the rows.

    Notes
    -----
    Non-negative least squares (Lawson and Hanson 1974); a heavy row holds the sum at one.
    """
    scale = np.sqrt(np.maximum(forecast, 1e-9))
    design, target = ratios * scale[:, None], units / scale
    count = ratios.shape[1]
    prior = np.eye(count)[0]
    # Imported here because fitted models are also served, and the import takes a second.
    from scipy.optimize import nnls

    # The normal equations are as small as the number of members is.
    gram, moment = design.T @ design, design.T @ target
    weights: Floats = prior
    for _ in range(_ITERATIONS):
        loss = float(((target - design @ weights) ** 2).sum())
        ridge = max(loss / max(independent, 1) / _PRIOR_DEVIATION**2, 1e-12 * np.trace(gram))
        root = np.linalg.cholesky(gram + ridge * np.eye(count)).T
        heavy = 1e3 * np.sqrt(np.trace(gram) + ridge)
        system = np.vstack([root, np.full((1, count), heavy)])
        solution, _ = nnls(
            system, np.append(np.linalg.solve(root.T, moment + ridge * prior), heavy)
        )
        weights = solution / solution.sum()
    return weights


def _ratios(frame: pl.DataFrame, members: Sequence[str], usual: Floats) -> Floats:
    """Return members' forecasts over the global model's, the first column one.

    A member without a forecast takes that of the global model.
    """
    missing = [name for name in members if f"{PREFIX}{name}" not in frame.columns]
    if missing:
        raise InvalidInput(
            f"member = {missing[0]!r} has weight in this model and is not registered; register it "
            "with features.demand.statistical_forecasts.register_member before forecasting.",
            field="member",
        )
    columns = [np.ones(frame.height)]
    for name in members:
        ratio = frame.get_column(f"{PREFIX}{name}").to_numpy() / np.maximum(usual, 1e-9)
        columns.append(np.clip(np.nan_to_num(ratio, nan=1.0, posinf=1.0), *_BOUNDS))
    return np.column_stack(columns)


def _edges(level: Floats) -> tuple[float, ...]:
    count = int(np.clip(len(level) // _MIN_ROWS, 1, _CLASSES))
    return tuple(float(x) for x in np.unique(np.quantile(level, np.arange(1, count) / count)))
