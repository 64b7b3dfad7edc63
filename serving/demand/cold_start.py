"""Forecasts of products and locations that have not sold yet; the answers about demand ask here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.demand.cold_start import Analogues
from features.demand.series import GROUPS
from features.errors import InvalidInput, NotFound
from training.models.demand.distribution import counted
from training.models.demand.publish import load_cold_start


@dataclass(frozen=True)
class DemandNew:
    """What one published version knows of launches.

    Attributes
    ----------
    analogues
        What former ones sold, and what is known of products and locations.
    quantiles
        The levels that are given.
    """

    analogues: Analogues
    quantiles: tuple[float, ...]

    @classmethod
    def load(cls, folder: Path, quantiles: Sequence[float]) -> Self:
        """Read what `publish` wrote."""
        return cls(load_cold_start(folder), tuple(quantiles))

    @property
    def described_by(self) -> tuple[str, ...]:
        """What a request may say of a product that is in no catalogue."""
        grain = self.analogues.grain
        known = [group for group in GROUPS if self.analogues.curves[group].count()]
        return tuple(g for g in known if grain.product_keys and g not in grain.keys)

    def check(self, one: Mapping[str, str], where: str) -> None:
        """Refuse a department or a category that nothing is known of.

        Raises
        ------
        NotFound
            Naming the field.
        """
        for group in self.described_by:
            if group in one and one[group] not in self.analogues.curves[group]:
                raise NotFound(
                    f"{where}.{group} = {one[group]!r} is unknown: no product is of it; "
                    "give one that the catalogue has, or leave it out.",
                    field=f"{where}.{group}",
                )

    def values(
        self, series: Sequence[Mapping[str, str]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Forecast series by look-alikes.

        Returns
        -------
        tuple
            Which of the series something is known of, and for these the mean and the quantiles,
            shape (series, periods, 1 + quantiles).
        """
        names = (*self.analogues.grain.keys, *self.described_by)
        asked = pl.DataFrame(
            [{name: one.get(name) for name in names} for one in series],
            schema=dict.fromkeys(names, pl.String),
        )
        found = self.analogues.forecast(asked)
        mean = found.mean.ravel()
        levels = counted(mean, found.ratio.ravel(), self.quantiles)
        shape = (*found.mean.shape, 1 + len(self.quantiles))
        values = np.column_stack([mean, levels]).reshape(shape)
        return found.rows, values


def refuse_plan(where: str) -> InvalidInput:
    """Say that neither plans nor reasons are answered for a series without sales."""
    return InvalidInput(
        f"{where} has not sold yet: a plan and reasons rest on a series' own past. Ask for its "
        "forecast alone, or for the plan of a product like it.",
        field=where,
    )
