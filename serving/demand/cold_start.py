"""Forecasts of products and locations without sales, from a published folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.demand.cold_start import Analogues
from features.demand.series import GROUPS
from features.errors import NotFound
from features.typing import Floats
from training.models.demand.publish import load_analogues
from training.models.demand.quantiles import negative_binomial_quantiles


@dataclass(frozen=True)
class ColdStartForecaster:
    """Forecasts series without sales by analogues.

    Attributes
    ----------
    analogues
        Sales of former launches, and attributes of products and locations.
    quantiles
        The levels of the forecasts.
    """

    analogues: Analogues
    quantiles: tuple[float, ...]

    @classmethod
    def load(cls, folder: Path, quantiles: Sequence[float]) -> Self:
        """Read a published demand folder."""
        return cls(load_analogues(folder), tuple(quantiles))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes by which a request may describe a product outside the catalogue."""
        grain = self.analogues.grain
        known = [group for group in GROUPS if self.analogues.curves[group].count()]
        return tuple(g for g in known if grain.product_keys and g not in grain.keys)

    def check(self, keys: Mapping[str, str], where: str) -> None:
        """Refuse an unknown department or category in the field `where` of a request.

        Raises
        ------
        NotFound
            Naming the field.
        """
        for group in self.attributes:
            if group in keys and keys[group] not in self.analogues.curves[group]:
                raise NotFound(
                    f"{where}.{group} = {keys[group]!r} is unknown: no product has it; "
                    "use one of the catalogue, or leave it out.",
                    field=f"{where}.{group}",
                )

    def values(self, series: Sequence[Mapping[str, str]]) -> tuple[NDArray[np.int64], Floats]:
        """Forecast series.

        Returns
        -------
        tuple
            Positions of the series that have analogues, and for these the mean and the
            quantiles, shape (series, periods, 1 + quantiles).
        """
        names = (*self.analogues.grain.keys, *self.attributes)
        frame = pl.DataFrame(
            [{name: keys.get(name) for name in names} for keys in series],
            schema=dict.fromkeys(names, pl.String),
        )
        expected = self.analogues.forecast(frame)
        mean, ratio = expected.mean.ravel(), expected.ratio.ravel()
        quantiles = negative_binomial_quantiles(mean, ratio, self.quantiles)
        shape = (*expected.mean.shape, 1 + len(self.quantiles))
        return expected.rows, np.column_stack([mean, quantiles]).reshape(shape)
