"""The published demand folder: written from a fitted model, read by serving.

The file and folder names of the format stand here alone. A level of the distribution between
two of `PublishedAbout.quantiles` is interpolated, one beyond them equals the outermost.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.calendar import day_start, to_day
from features.dataset import Dataset
from features.demand.cold_start import Analogues
from features.demand.extract import PublishedRecords
from features.demand.grain import Grain
from features.demand.plan_ends import planned_days
from features.demand.series import all_series
from features.errors import MissingData
from features.typing import Floats
from training.models.demand.anomalies import detect_anomalies, without_overlap
from training.models.demand.assumptions import COLUMNS
from training.models.demand.historical_forecasts import HistoricalForecasts
from training.models.demand.model import DemandModel
from training.models.demand.quantiles import LEVELS, level_name
from training.models.demand.reconciliation import Hierarchy
from training.published import arrays

ABOUT = "about.json"
SERIES = "series.parquet"
VALUES = "values"
TOTALS = "totals.parquet"
ANOMALIES = "anomalies.parquet"
MODEL = "model"
RECORDS = "records"
ANALOGUES = "analogues"


@dataclass(frozen=True)
class PublishedAbout:
    """What the published forecasts are of.

    Attributes
    ----------
    grain
        Text such as `product:week`.
    horizon_days
        How far the forecasts reach.
    as_of
        Instant at which they were made, ISO.
    dates
        First day of each period, ISO, ascending.
    quantiles
        Published levels, ascending.
    total_levels
        Levels of the published totals, such as `department`; empty where the records are too
        short for historical forecasts.
    """

    grain: str
    horizon_days: int
    as_of: str
    dates: tuple[str, ...]
    quantiles: tuple[float, ...]
    total_levels: tuple[str, ...]


def publish(model: DemandModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the published demand folder.

    `series.parquet` has a row per series that ever sold, sorted by the grain's keys: the keys, what
    its forecasts assume (`assumptions`) and `basis`. `values.npy`, which all processes map, has the
    forecasts: of each series and period the mean and a value per level of `LEVELS`.
    `totals.parquet` has all of these as columns for totals of these series, and `anomalies.parquet`
    the recent periods outside their expected range; both are absent where the records are too short
    for historical forecasts. `model` and `records` hold what forecasts under another plan and
    explanations are computed from; series are in the order of the answers. `analogues` holds
    what forecasts of series without sales are computed from.
    """
    grain = Grain.parse(model.grain)
    ever = all_series(dataset, grain).index.select(*grain.keys).collect().to_polars()
    frames = model.frames(dataset, as_of, ever)
    answers = pl.concat(model.forecast(frame, LEVELS) for frame in frames)
    answers = answers.sort(*grain.keys, "date")
    steps = grain.periods(model.horizon_days)
    series = answers.gather_every(steps).select(*grain.keys, *COLUMNS, "basis")
    series.write_parquet(folder / SERIES, compression="zstd")
    values = answers.select("mean", *map(level_name, LEVELS)).to_numpy(order="c")
    arrays.write(folder, {VALUES: values.reshape(len(series), steps, -1)})
    for name in (MODEL, RECORDS, ANALOGUES):
        (folder / name).mkdir()
    model.save(folder / MODEL)
    Analogues.fit(dataset, grain, as_of, steps).save(folder / ANALOGUES)
    PublishedRecords.write(dataset, grain, as_of, folder / RECORDS)
    days = grain.shift(to_day(as_of), np.arange(steps)).tolist()
    about = PublishedAbout(
        grain=model.grain,
        horizon_days=model.horizon_days,
        as_of=as_of.isoformat(),
        dates=tuple(day_start(day).date().isoformat() for day in days),
        quantiles=LEVELS,
        total_levels=_publish_historical(model, dataset, as_of, answers, folder),
    )
    (folder / ABOUT).write_text(json.dumps(asdict(about), indent=1))


def _publish_historical(
    model: DemandModel, dataset: Dataset, as_of: datetime, answers: pl.DataFrame, folder: Path
) -> tuple[str, ...]:
    """Write what rests on historical forecasts, if any; return the levels of the totals."""
    grain = Grain.parse(model.grain)
    try:
        historical = HistoricalForecasts.fit(model, dataset, as_of)
    except MissingData:
        return ()
    # First: what it computes by origin is kept for the forecasts with a hidden plan.
    past = historical.by_origin(dataset, "steady")
    anomalies = detect_anomalies(dataset, grain, model.country, without_overlap(past, grain))
    anomalies.write_parquet(folder / ANOMALIES)
    plan_days = planned_days(dataset, grain, to_day(as_of))
    hierarchy = Hierarchy.fit(dataset, grain, historical.by_origin(dataset, "sampled", plan_days))
    totals = [
        hierarchy.totals(dataset, answers, level, LEVELS).with_columns(level=pl.lit(level))
        for level in hierarchy.errors
    ]
    pl.concat(totals, how="diagonal").write_parquet(folder / TOTALS)
    return tuple(hierarchy.errors)


def load_about(folder: Path) -> PublishedAbout:
    """Read what the published forecasts are of."""
    fields = json.loads((folder / ABOUT).read_text())
    return PublishedAbout(
        grain=fields["grain"],
        horizon_days=fields["horizon_days"],
        as_of=fields["as_of"],
        dates=tuple(fields["dates"]),
        quantiles=tuple(fields["quantiles"]),
        total_levels=tuple(fields["total_levels"]),
    )


def load_series(folder: Path) -> pl.DataFrame:
    """Read the series, sorted by the grain's keys; see `publish` for the columns."""
    return pl.read_parquet(folder / SERIES)


def load_values(folder: Path) -> Floats:
    """Map the forecasts: shape (series, periods, 1 + levels), the mean before the levels."""
    return arrays.read(folder, VALUES)


def load_totals(folder: Path) -> pl.DataFrame:
    """Read the forecasts of totals, in a published folder that has `total_levels`."""
    return pl.read_parquet(folder / TOTALS)


def load_anomalies(folder: Path) -> pl.DataFrame | None:
    """Read the anomalies; None where the records are too short for historical forecasts."""
    path = folder / ANOMALIES
    return pl.read_parquet(path) if path.exists() else None


def load_model(folder: Path) -> DemandModel:
    """Read the model that made the forecasts."""
    return DemandModel.load(folder / MODEL)


def load_records(folder: Path) -> PublishedRecords:
    """Open the published records; their tables are read on request."""
    about = load_about(folder)
    return PublishedRecords(folder / RECORDS, Grain.parse(about.grain), about.as_of)


def load_analogues(folder: Path) -> Analogues:
    """Read what forecasts of series without sales are computed from."""
    return Analogues.load(folder / ANALOGUES)
