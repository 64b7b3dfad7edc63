"""Forecasts of the demand model's peers: a case, an origin and series in, means out.

Seasonal naive forecasts, and mlforecast and statsforecast, which run in the environment of
`benchmarks/peers/requirements.txt` and exchange Parquet files with this one (`make bench-peers`).
"""

import json
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from demand_cases import Case

from features.calendar import to_day
from features.demand.promotions import promotion_kinds, promotion_shares
from features.demand.series import all_series, units_matrix
from features.typing import Floats, Ints

# A longer history changes these methods little and makes them slow.
MAX_PAST_DAYS = 1_456
ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True)
class Peers:
    """What the peers' environment returned.

    Attributes
    ----------
    means
        By method: means of shape (series, periods), NaN for series that it did not forecast.
    seconds
        CPU seconds by method; those of the models of statsforecast are with their mean.
    packages
        Versions of the packages.
    """

    means: dict[str, Floats]
    seconds: dict[str, float]
    packages: dict[str, str]


def past_units(case: Case, origin: datetime, ids: pl.DataFrame) -> Floats:
    """Return units sold before the origin, shape (series, periods)."""
    day = to_day(origin)
    periods = min(day - case.dataset.days[0], MAX_PAST_DAYS) // case.grain.days
    return units_matrix(case.dataset, case.grain, day, -periods, ids)


def seasonal_naive(season_days: int, case: Case, origin: datetime, ids: pl.DataFrame) -> Floats:
    """Repeat the last season; the last value where the past or the season is shorter."""
    past = past_units(case, origin, ids)
    season = max(season_days // case.grain.days, 1)
    season = season if season <= past.shape[1] else 1
    steps = np.arange(case.horizon_days // case.grain.days)
    return past[:, -season:][:, steps % season]


def peers(case: Case, origin: datetime, ids: pl.DataFrame, sample: Ints) -> Peers:
    """Forecast by mlforecast, and the rows `sample` by statsforecast, in their environment."""
    if not PYTHON.exists():
        raise SystemExit(f"{PYTHON} does not exist: run make bench-peers, or --ours without peers.")
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write(case, origin, ids, sample, folder)
        script = ROOT / "benchmarks" / "peers" / "forecast.py"
        subprocess.run([PYTHON, "-I", script, folder], check=True)  # noqa: S603
        forecasts = pl.read_parquet(folder / "forecasts.parquet").sort("unique_id", "ds")
        measured = json.loads((folder / "seconds.json").read_text())
    names = [name for name in forecasts.columns if name not in ("unique_id", "ds")]
    means = {name: forecasts[name].to_numpy().reshape(ids.height, -1) for name in names}
    return Peers(means, measured["seconds"], measured["packages"])


def _write(case: Case, origin: datetime, ids: pl.DataFrame, sample: Ints, folder: Path) -> None:
    """Write the past from each series' first sale on, the future, and what is asked."""
    grain, day = case.grain, to_day(origin)
    steps, past = case.horizon_days // grain.days, past_units(case, origin, ids)
    periods = past.shape[1]
    starts = pl.Series("day", [day + grain.days * k for k in range(-periods, steps)], pl.Int32)
    rows = pl.DataFrame({"unique_id": np.arange(ids.height)})
    frame = rows.join(starts.to_frame(), how="cross", maintain_order="left_right")
    plan = _plan(case, day, ids, periods, steps)
    frame = frame.with_columns(
        pl.Series(name, values.ravel(), nan_to_null=True) for name, values in plan.items()
    )
    begun = np.cumsum(past > 0, axis=1) > 0
    known = frame.filter(pl.col("day") < day).with_columns(pl.Series("y", past.ravel()))
    known = known.filter(pl.Series(begun.ravel()))
    dates = pl.col("day").cast(pl.Date).cast(pl.Datetime("ns")).alias("ds")
    known.with_columns(dates).drop("day").write_parquet(folder / "past.parquet")
    future = frame.filter(pl.col("day") >= day)
    future.with_columns(dates).drop("day").write_parquet(folder / "future.parquet")
    request = {"freq_days": grain.days, "horizon": steps, "sample": sample.tolist()}
    (folder / "request.json").write_text(json.dumps(request))


def _plan(case: Case, day: int, ids: pl.DataFrame, periods: int, steps: int) -> dict[str, Floats]:
    """Return planned columns by name, each of shape (series, past and future periods)."""
    dataset = case.dataset
    starts = [day + case.grain.days * k for k in range(-periods, steps)]
    days = pl.DataFrame({"day": starts}, schema={"day": pl.Int32})
    columns: dict[str, Floats] = {}
    if dataset.has("promotions") and case.grain.product_keys:
        columns |= _promotion_shares(case, day, ids, periods, steps)
    if dataset.has("prices") and "product_id" in case.grain.keys:
        columns["price"] = _prices(case, ids, days)
    if dataset.has("covariates"):
        columns |= _covariates(case, day, ids, days)
    return columns


def _promotion_shares(
    case: Case, day: int, ids: pl.DataFrame, periods: int, steps: int
) -> dict[str, Floats]:
    dataset, grain = case.dataset, case.grain
    index = all_series(dataset, grain).index.collect().to_polars()
    numbered = ids.with_row_index("row").join(index, on=grain.keys)
    shares = promotion_shares(dataset, grain, day, day + grain.days * steps)
    period = pl.col("block") - (day - day % grain.days) // grain.days + periods
    cells = shares.collect().to_polars().join(numbered, on="series")
    cells = cells.with_columns(period.alias("period"))
    cells = cells.filter(pl.col("period").is_between(0, periods + steps - 1))
    columns = {}
    for kind in promotion_kinds(dataset):
        columns[kind] = np.zeros((ids.height, periods + steps))
        columns[kind][cells["row"].to_numpy(), cells["period"].to_numpy()] = cells[f"share_{kind}"]
    return columns


def _prices(case: Case, ids: pl.DataFrame, days: pl.DataFrame) -> Floats:
    prices = case.dataset.table("prices").collect().to_polars()
    keys = [key for key in case.grain.keys if key in prices.columns]
    prices = prices.select(*keys, "price", day="from_day").sort("day")
    grid = ids.join(days, how="cross").sort("day")
    joined = grid.join_asof(prices, on="day", by=keys, check_sortedness=False)
    ordered = joined.sort(*case.grain.keys, "day")["price"]
    return ordered.to_numpy().reshape(ids.height, days.height)


def _covariates(case: Case, day: int, ids: pl.DataFrame, days: pl.DataFrame) -> dict[str, Floats]:
    """Return the mean of each covariate known ahead, by location where it differs by location."""
    length = case.grain.days
    table = case.dataset.table("covariates").collect().to_polars()
    block = ((pl.col("day") - day) // length * length + day).cast(pl.Int32).alias("day")
    table = table.filter("known_ahead").with_columns(block)
    by_location = "location_id" in ids.columns and "location_id" in table.columns
    grid = ids.with_row_index("row").join(days, how="cross", maintain_order="left_right")
    columns = {}
    for (name,), values in table.sort("name").group_by("name", maintain_order=True):
        keys = ["day"]
        if by_location and values["location_id"].null_count() < values.height:
            keys = ["location_id", "day"]
        means = values.group_by(keys).agg(pl.col("value").mean())
        joined = grid.join(means, on=keys, how="left", maintain_order="left")["value"]
        columns[str(name)] = joined.to_numpy().reshape(ids.height, days.height)
    return columns
