"""The covariates table in, values by period out; read by `panel`.

A covariate is known ahead (holidays of one's own, benefit days, school terms) or it is not
(weather, search heat): of the latter nothing at or after an instant is read at that instant.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.demand.grain import Grain
from features.memo import memo


@dataclass(frozen=True)
class Covariate:
    """One covariate over periods.

    Attributes
    ----------
    known_ahead
        Whether values of the future are plans. One row that is not makes the whole not.
    values
        Mean by place and period, NaN where there is none; row 0 is the chain.
    locations
        `location_id` and `row` of places with values of their own.
    """

    known_ahead: bool
    values: NDArray[np.float64]
    locations: pl.DataFrame


def covariates(dataset: Dataset, grain: Grain, first: int, columns: int) -> dict[str, Covariate]:
    """Lay the covariates out over `columns` periods from the day `first` on, by name."""
    if not dataset.has("covariates"):
        return {}
    table = _table_of_covariates(dataset)
    column = (pl.col("day") - first) // grain.days
    cells = table.with_columns(column.alias("column")).filter(
        pl.col("column").is_between(0, columns - 1)
    )
    known = table.group_by("name").agg(pl.col("known_ahead").all()).sort("name")
    found = {}
    for name, ahead in known.iter_rows():
        own = cells.filter(pl.col("name") == name)
        places = own.get_column("location_id").drop_nulls().unique().sort()
        locations = pl.DataFrame(
            {"location_id": places, "row": np.arange(1, len(places) + 1)},
            schema={"location_id": pl.String, "row": pl.Int64},
        )
        found[name] = Covariate(bool(ahead), _table(own, locations, columns), locations)
    return found


@memo("covariates")
def _table_of_covariates(dataset: Dataset) -> pl.DataFrame:
    frame = dataset.table("covariates").collect().to_polars()
    if "location_id" not in frame.columns:
        frame = frame.with_columns(location_id=pl.lit(None, dtype=pl.String))
    return frame.with_columns(pl.col("day").cast(pl.Int64))


def _table(own: pl.DataFrame, locations: pl.DataFrame, columns: int) -> NDArray[np.float64]:
    """Average by place and period; a place without a value of its own has the chain's."""
    values = np.full((locations.height + 1, columns), np.nan)
    order = ["location_id", "day"]
    chain = own.filter(pl.col("location_id").is_null())
    # What is known of places alone says something of the chain: their mean.
    whole = (own if chain.is_empty() else chain).sort(order).group_by("column")
    means = whole.agg(pl.col("value").sort().mean()).sort("column")
    values[0, means.get_column("column").to_numpy()] = means.get_column("value").to_numpy()
    placed = own.join(locations, on="location_id", how="inner").group_by("row", "column")
    cells = placed.agg(pl.col("value").sort().mean())
    values[1:] = values[0]
    values[cells.get_column("row").to_numpy(), cells.get_column("column").to_numpy()] = (
        cells.get_column("value").to_numpy()
    )
    return values
