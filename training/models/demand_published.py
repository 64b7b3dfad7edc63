"""A fitted demand model in, the files that serving answers from out; used by its `publish`."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from features.books import Books
from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.grain import Grain
from features.series import all_series
from training.models.demand_quantiles import LEVELS

if TYPE_CHECKING:
    from training.models.demand import DemandModel

# Features are read a few series at a time: of about so many rows.
_ROW_GROUP = 2_048
# What another plan recomputes, or recomputes from.
_PLANNED = ("promotion_", "price_", "level_now")


def publish(model: "DemandModel", dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the forecasts of every series that ever sold, and what another plan needs.

    `answers.parquet` has the grain's keys, `date`, `mean`, a column for each level of `LEVELS`
    (`q1` to `q99`) and `basis`; `about.json` lists the levels: one between two of them is read
    by interpolation, one beyond them as the outermost. `features.parquet` has the features of
    the same rows in the same order; `model` and `books` turn them into the forecast under
    another plan.
    """
    grain = Grain.parse(model.grain)
    ever = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    answers, features = [], []
    for frame in model.frames(dataset, as_of, ever):
        answers.append(model.forecast(frame, LEVELS))
        features.append(_narrow(frame, model))
    pl.concat(answers).write_parquet(folder / "answers.parquet", compression="zstd")
    periods = grain.periods(model.horizon_days)
    pl.concat(features).write_parquet(
        folder / "features.parquet",
        compression="zstd",
        row_group_size=periods * series_a_group(periods),
    )
    for name in ("model", "books"):
        (folder / name).mkdir()
    model.save(folder / "model")
    Books.write(dataset, grain, as_of, model.horizon_days, folder / "books")
    dates = [to_day(as_of) + grain.days * k for k in range(periods)]
    about = {
        "grain": model.grain,
        "horizon_days": model.horizon_days,
        "quantiles": list(LEVELS),
        "as_of": as_of.isoformat(),
        "dates": [day_start(day).date().isoformat() for day in dates],
    }
    (folder / "about.json").write_text(json.dumps(about, indent=1))


def series_a_group(periods: int) -> int:
    """Count the series in a group of rows of `features.parquet`."""
    return max(_ROW_GROUP // periods, 1)


def _narrow(frame: pl.DataFrame, model: "DemandModel") -> pl.DataFrame:
    """Store what is only read by the boosters as they read it: in 32 bits."""
    narrow = [
        name
        for name in model.boosters_[0].columns
        if frame.schema[name].is_float() and not name.startswith(_PLANNED)
    ]
    return frame.with_columns(pl.col(narrow).cast(pl.Float32))
