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


def publish(model: "DemandModel", dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the forecasts of every series that ever sold, and what another plan needs.

    `answers.parquet` has the grain's keys, `date`, `mean`, a column for each level of `LEVELS`
    (`q1` to `q99`) and `basis`; `about.json` lists the levels: one between two of them is read
    by interpolation, one beyond them as the outermost. `model` and `books` are what forecasts
    under another plan, and reasons, are made from; the series of both have the same order.
    """
    grain = Grain.parse(model.grain)
    ever = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    frames = model.frames(dataset, as_of, ever)
    answers = pl.concat(model.forecast(frame, LEVELS) for frame in frames)
    answers.write_parquet(folder / "answers.parquet", compression="zstd")
    for name in ("model", "books"):
        (folder / name).mkdir()
    model.save(folder / "model")
    Books.write(dataset, grain, as_of, folder / "books")
    dates = [to_day(as_of) + grain.days * k for k in range(grain.periods(model.horizon_days))]
    about = {
        "grain": model.grain,
        "horizon_days": model.horizon_days,
        "quantiles": list(LEVELS),
        "as_of": as_of.isoformat(),
        "dates": [day_start(day).date().isoformat() for day in dates],
    }
    (folder / "about.json").write_text(json.dumps(about, indent=1))
