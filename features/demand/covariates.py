"""Covariates: the table of covariates in, values by location and period out.

A covariate is known ahead (own holidays, benefit days, school terms) or not (weather, search
volume). Of the latter, features at an instant read no value at or after it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.memo import memo
from features.typing import Floats


@dataclass(frozen=True)
class Covariate:
    """One covariate over periods.

    Attributes
    ----------
    known_ahead
        Whether future values are known; true only if it is true in every row.
    values
        Mean by location and period, NaN if missing; row 0 is the chain.
    locations
        `location_id` and `row` of the locations with values.
    """

    known_ahead: bool
    values: Floats
    locations: pl.DataFrame


def covariates(dataset: Dataset, grain: Grain, first: int, columns: int) -> dict[str, Covariate]:
    """Arrange the covariates over `columns` periods from the day `first` on, by name."""
    if not dataset.has("covariates"):
        return {}
    table = covariate_table(dataset)
    phase = grain.phase(first)
    column = grain.number(pl.col("day"), phase) - int(grain.number(first, phase))
    cells = table.with_columns(column.alias("column")).filter(
        pl.col("column").is_between(0, columns - 1)
    )
    known = table.group_by("name").agg(pl.col("known_ahead").all()).sort("name")
    by_name = {}
    for name, ahead in known.iter_rows():
        rows = cells.filter(pl.col("name") == name)
        ids = rows.get_column("location_id").drop_nulls().unique().sort()
        locations = pl.DataFrame(
            {"location_id": ids, "row": np.arange(1, len(ids) + 1)},
            schema={"location_id": pl.String, "row": pl.Int64},
        )
        by_name[name] = Covariate(bool(ahead), _values(rows, locations, columns), locations)
    return by_name


@memo("covariates")
def covariate_table(dataset: Dataset) -> pl.DataFrame:
    """Return the table of covariates; `location_id` is null in rows of the chain."""
    frame = dataset.table("covariates").collect().to_polars()
    if "location_id" not in frame.columns:
        frame = frame.with_columns(location_id=pl.lit(None, dtype=pl.String))
    return frame.with_columns(pl.col("day").cast(pl.Int64))


def _values(rows: pl.DataFrame, locations: pl.DataFrame, columns: int) -> Floats:
    """Average by location and period; a location without a value takes the chain's."""
    values = np.full((locations.height + 1, columns), np.nan)
    order = ["location_id", "day"]
    chain = rows.filter(pl.col("location_id").is_null())
    # Without values of the chain, the mean over locations stands in for them.
    source = (rows if chain.is_empty() else chain).sort(order).group_by("column")
    means = source.agg(pl.col("value").sort().mean()).sort("column")
    values[0, means.get_column("column").to_numpy()] = means.get_column("value").to_numpy()
    located = rows.join(locations, on="location_id", how="inner").group_by("row", "column")
    cells = located.agg(pl.col("value").sort().mean())
    values[1:] = values[0]
    values[cells.get_column("row").to_numpy(), cells.get_column("column").to_numpy()] = (
        cells.get_column("value").to_numpy()
    )
    return values
