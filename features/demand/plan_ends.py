"""How far promotions are planned: the table of promotions in, the last booked days out.

After the last booked day of its location and kind a promotion is unknown, which is not the same as
not planned: its features are missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import narwhals as nw
import numpy as np
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.plan import planned_rows
from features.demand.series import with_attributes
from features.discontinued import promoted_days
from features.memo import Result, memo
from features.typing import Bools, Ints

# A kind that was not booked for so long is no longer in use: none of it is planned.
RETIRED_DAYS = 364
# The end of a plan in which nothing was ever booked.
NEVER = -(10**6)
# Key of the promotions of any kind.
ANY = "any"


@memo("promotions", "locations")
def booked_until(dataset: Dataset, keys: tuple[str, ...]) -> pl.DataFrame:
    """Return the day after the last booked one by location and kind.

    Parameters
    ----------
    dataset
        The promotions.
    keys
        Attributes of locations.

    Returns
    -------
    polars.DataFrame
        `location_id` (null: everywhere), the attributes, `kind` and `until`; empty if the dataset
        has no promotions.
    """
    columns = list(dict.fromkeys(["location_id", *keys]))
    if "promotions" not in dataset.tables:
        names = dict.fromkeys([*columns, "kind"], pl.String)
        return pl.DataFrame(schema={**names, "until": pl.Int32})
    table = dataset.table("promotions")
    if "location_id" not in dataset.columns("promotions"):
        table = table.with_columns(nw.lit(None, dtype=nw.String).alias("location_id"))
    ends = table.group_by("location_id", "kind").agg(nw.col("to_day").max().alias("until"))
    rows = with_attributes(dataset, ends, keys).collect().to_polars()
    return rows.select(*columns, "kind", pl.col("until").cast(pl.Int32)).drop_nulls("kind")


def complete_until(dataset: Dataset, grain: Grain, day: int) -> Result:
    """Return the last booked days where the plan is complete before a day, at every location."""
    ends = booked_until(dataset, grain.location_keys)
    everywhere = ends.select("kind", until=pl.lit(day, dtype=pl.Int32)).unique()
    return booked_until.result(pl.concat([ends, everywhere], how="diagonal"), grain.location_keys)


def hidden_from(dataset: Dataset, grain: Grain, day: int) -> Dataset:
    """Return the dataset without promotions and prices that are planned from a day on."""
    if dataset.has("prices"):
        prices = dataset.table("prices").filter(nw.col("from_day") < day)
        dataset = dataset.with_tables(f"{dataset.snapshot}, known until {day}", {"prices": prices})
    ends = booked_until(dataset, grain.location_keys)
    hidden = ends.with_columns(pl.min_horizontal("until", pl.lit(day, pl.Int32)))
    promoted = promoted_days(dataset).with_columns(
        pl.min_horizontal("to_day", pl.lit(day, pl.Int32))
    )
    return dataset.with_results(
        [booked_until.result(hidden, grain.location_keys), promoted_days.result(promoted)]
    )


def planned_days(dataset: Dataset, grain: Grain, today: int) -> int:
    """Count the days from `today` on for which promotions, or else prices, are known."""
    ends = booked_until(dataset, grain.location_keys).get_column("until")
    until = ends.quantile(0.5, "nearest")
    if until is None and dataset.has("prices"):
        until = dataset.table("prices").select(nw.col("from_day").max()).collect().item()
    return 0 if until is None else max(int(until) - today, 0)


@dataclass(frozen=True)
class PlanEnds:
    """How far the promotions of some series are planned.

    Attributes
    ----------
    until
        By kind, the day after the last booked one of each series; `NEVER` if there is none.
    """

    until: Mapping[str, Ints]

    @classmethod
    def of(cls, dataset: Dataset, grain: Grain, index: pl.DataFrame) -> Self:
        """Find the ends for the series in the rows of an index.

        The end of a series at several locations is the median over those with the kind.
        """
        keys = list(grain.location_keys)
        ends = booked_until(dataset, grain.location_keys)
        is_general = pl.col("location_id").is_null()
        general = ends.filter(is_general).group_by("kind").agg(everywhere=pl.col("until").max())
        medians = (
            ends.filter(~is_general)
            .join(general, on="kind", how="left")
            .with_columns(pl.max_horizontal("until", "everywhere"))
            .group_by("kind", *keys)
            .agg(pl.col("until").quantile(0.5, "nearest"))
        )
        until = {}
        for (kind,) in ends.select("kind").unique().sort("kind").iter_rows():
            of_kind = pl.lit(kind).alias("kind")
            rows = index.select(grain.keys).with_columns(of_kind)
            joined = rows.join(medians, on=["kind", *keys], how="left", maintain_order="left")
            joined = joined.join(general, on="kind", how="left", maintain_order="left")
            days = joined.select(pl.coalesce("until", "everywhere", pl.lit(NEVER))).to_series()
            until[kind] = days.cast(pl.Int64).to_numpy()
        return cls(until)

    def unknown(self, days: Ints) -> dict[str, Bools]:
        """Mark the days on which promotions are unknown, shape (series, days), by kind.

        On the days of `ANY` a kind that the series has used is unknown, or it never had any.
        """
        marks = {}
        unused = np.ones((len(next(iter(self.until.values()), ())), 1), dtype=bool)
        any_kind = np.zeros((len(unused), len(days)), dtype=bool)
        for kind, until in self.until.items():
            used = until[:, None] != NEVER
            after, retired = days >= until[:, None], days >= until[:, None] + RETIRED_DAYS
            marks[kind] = after & ~(used & retired)
            any_kind |= marks[kind] & used
            unused &= ~used
        return {**marks, ANY: any_kind | unused}

    def first_unknown(self, today: int) -> Ints:
        """Return the first unknown day of each series; `NEVER` if nothing was ever booked.

        Kinds that are no longer in use do not count.
        """
        kinds = np.array(list(self.until.values()))
        latest: Ints = kinds.max(axis=0)
        retired = kinds + RETIRED_DAYS <= today
        first: Ints = np.where(retired, latest, kinds).min(axis=0)
        return first


def planned_cells(
    dataset: Dataset, grain: Grain, index: pl.DataFrame, first: int, columns: int
) -> tuple[Ints, Ints]:
    """Return row and column of the periods that the user's plan makes known.

    A planned promotion makes the periods that it touches known, of all kinds; one of a part of
    the products or locations of a series does not.

    Parameters
    ----------
    dataset, grain, index
        The plan, the definition of a series, and the series.
    first, columns
        First day and number of the periods.
    """
    cells, phase = [], grain.phase(first)
    block = int(grain.number(first, phase))
    for plan in planned_rows(dataset):
        if "product_id" not in grain.keys or plan.kind is None or plan.end is None:
            continue
        series = pl.col("product_id") == plan.product_id
        if plan.location_id is not None:
            if "location_id" not in grain.keys:
                continue
            series &= pl.col("location_id") == plan.location_id
        rows = index.select(series.arg_true()).to_series().to_numpy().astype(np.int64)
        low = max(int(grain.number(plan.start, phase)) - block, 0)
        high = min(int(grain.number(plan.end - 1, phase)) - block + 1, columns)
        periods = np.arange(low, max(high, low))
        cells.append((np.repeat(rows, len(periods)), np.tile(periods, len(rows))))
    if not cells:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows_of, columns_of = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    return rows_of, columns_of
