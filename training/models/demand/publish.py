"""A fitted demand model in, the files that serving answers from out; used by its `publish`."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.cold_start import Launches
from features.demand.extract import Books
from features.demand.grain import Grain
from features.demand.series import all_series, selling_series
from features.errors import MissingData
from training.models.demand.anomalies import anomalies, near
from training.models.demand.distribution import LEVELS
from training.models.demand.historical_forecasts import HistoricalForecasts
from training.models.demand.model import DemandModel
from training.models.demand.reconciliation import Hierarchy


def publish(model: DemandModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the forecasts of every series that ever sold, and what another plan needs.

    `answers.parquet` has the grain's keys, `date`, `mean`, a column for each level of `LEVELS`
    (`q1` to `q99`) and `basis`; `about.json` lists them: a level between two of them is read
    by interpolation, one beyond them as the outermost. `totals.parquet` has the same of every
    total of the series that `score` lists, and `anomalies.parquet` the recent periods that were
    not as expected; records too short to look back on have neither. `model` and `books` are
    what forecasts under another plan, and reasons, are made from: their series have the order
    of the answers. `launches` is what series without sales are forecast from.
    """
    grain = Grain.parse(model.grain)
    ever = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    frames = model.frames(dataset, as_of, ever)
    answers = pl.concat(model.forecast(frame, LEVELS) for frame in frames)
    answers.write_parquet(folder / "answers.parquet", compression="zstd")
    for name in ("model", "books", "launches"):
        (folder / name).mkdir()
    model.save(folder / "model")
    steps = grain.periods(model.horizon_days)
    Launches.read(dataset, grain, as_of, steps).save(folder / "launches")
    Books.write(dataset, grain, as_of, folder / "books")
    dates = [to_day(as_of) + grain.days * k for k in range(steps)]
    about = {
        "grain": model.grain,
        "horizon_days": model.horizon_days,
        "quantiles": list(LEVELS),
        "as_of": as_of.isoformat(),
        "levels": _looked_back(model, dataset, as_of, answers, folder),
        "dates": [day_start(day).date().isoformat() for day in dates],
    }
    (folder / "about.json").write_text(json.dumps(about, indent=1))


def _looked_back(
    model: DemandModel, dataset: Dataset, as_of: datetime, answers: pl.DataFrame, folder: Path
) -> list[str]:
    """Write totals and anomalies; return the levels of the totals."""
    grain = Grain.parse(model.grain)
    try:
        rolled = HistoricalForecasts.fit(model, dataset, as_of)
    except MissingData:
        return []
    past = list(rolled.look_back(dataset))
    hierarchy = Hierarchy.fit(dataset, grain, past)
    hierarchy.save(folder / "hierarchy.json")
    selling = answers.join(selling_series(dataset, grain, as_of), on=grain.keys, how="semi")
    totals = [
        hierarchy.totals(dataset, selling, level, LEVELS).with_columns(level=pl.lit(level))
        for level in hierarchy.misses
    ]
    pl.concat(totals, how="diagonal").write_parquet(folder / "totals.parquet")
    found = anomalies(dataset, grain, model.country, near(past, grain))
    found.write_parquet(folder / "anomalies.parquet")
    return list(hierarchy.misses)
