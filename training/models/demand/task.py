"""The demand task: what will sell, asked at the grain that suits the records."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.noise_floor import noise_floor
from features.demand.series import all_series, steady_series, units_matrix
from features.typing import Floats
from training import metrics
from training.contract import Score, Space, Task
from training.models.demand.baselines import BASELINES
from training.models.demand.grain_choice import needed_days, options, reason
from training.models.demand.model import DemandModel
from training.models.demand.plots import plots
from training.models.demand.publish import publish

MAX_SERIES = 2_500
HISTORY_DAYS = 364
SLICES = 7


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return series that sold a unit a period over the last 28 periods; at most 2,500 by hash."""
    grain = Grain.parse(options["grain"])
    steady = steady_series(dataset, grain, to_day(as_of)).collect().to_polars()
    chosen = steady.with_columns(order=pl.concat_str(grain.keys, separator="|").hash(seed=11))
    return chosen.sort("order").head(MAX_SERIES).select(grain.keys).sort(grain.keys)


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Compare with what sold; a series without a forecast counts as a forecast of zero."""
    grain = Grain.parse(options["grain"])
    day, steps = to_day(as_of), grain.periods(options["horizon_days"])
    ids = population(dataset, as_of, options)
    truth = units_matrix(dataset, grain, day, steps, ids)
    if not truth.any():
        # Against nothing sold no error can be scaled.
        return []
    given = _laid_out(grain, ids, day, steps, predictions)
    seen = max(min(HISTORY_DAYS, day - dataset.days[0]) // grain.days, 2)
    past = units_matrix(dataset, grain, day, -seen, ids)
    scaled = metrics.rmsse(truth, given["mean"], metrics.squared_step(past))
    scaled = scaled[~np.isnan(scaled)]
    n = truth.size
    mean = given["mean"]
    scores = [
        Score("all", "wape", metrics.wape(truth, mean), n),
        Score("all", "bias", metrics.bias(truth, mean), n),
        # What no forecast can do without: it tells how much of the error is noise.
        Score("all", "wape_noise_floor", noise_floor(dataset, grain, as_of, ids).wape, n),
    ]
    if len(scaled):
        scores.append(Score("all", "rmsse", float(scaled.mean()), len(scaled)))
    if "q50" in given:
        flat = truth.ravel()
        losses = [metrics.pinball(flat, given[f"q{q}"].ravel(), q / 100) for q in (10, 50, 90)]
        inside = metrics.coverage(flat, given["q10"].ravel(), given["q90"].ravel())
        scores += [
            Score("all", "pinball", float(np.mean(losses) / truth.mean()), n),
            Score("all", "coverage_80", inside, n),
        ]
    return scores + _sliced(dataset, grain, ids, truth, mean)


def _laid_out(
    grain: Grain, ids: pl.DataFrame, day: int, steps: int, predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Turn predictions into arrays of shape (series, periods) by column."""
    step = (pl.col("date").cast(pl.Int32) - day) // grain.days
    cells = predictions.with_columns(step.alias("step")).join(
        ids.select(grain.keys).with_row_index("row"), on=grain.keys, how="inner"
    )
    cells = cells.filter(pl.col("step").is_between(0, steps - 1))
    found: dict[str, Floats] = {}
    for name in ("mean", "q10", "q50", "q90"):
        if name in predictions.columns:
            found[name] = np.zeros((ids.height, steps))
            rows, columns = cells.get_column("row").to_numpy(), cells.get_column("step").to_numpy()
            found[name][rows, columns] = cells.get_column(name).to_numpy()
    return found


def _sliced(
    dataset: Dataset, grain: Grain, ids: pl.DataFrame, truth: Floats, mean: Floats
) -> list[Score]:
    """Judge the departments that sell most; locations' where the grain has no product."""
    index = all_series(dataset, grain).index.collect().to_polars()
    columns = {"in_department": "department", "location_id": "location_id"}
    column = next((c for c in columns if c in index.columns and c not in grain.keys[:1]), None)
    if column is None:
        return []
    index = index.select({*grain.keys, column})
    named = ids.join(index, on=grain.keys, how="left", maintain_order="left").get_column(column)
    sold = pl.DataFrame({"slice": named, "units": truth.sum(axis=1)}).drop_nulls()
    largest = sold.group_by("slice").agg(pl.col("units").sum()).filter(pl.col("units") > 0)
    scores = []
    for value in largest.sort("units", "slice", descending=[True, False])["slice"][:SLICES]:
        rows = (named == value).fill_null(value=False).to_numpy()
        where = f"{columns[column]}={value}"
        n = truth[rows].size
        scores.append(Score(where, "wape", metrics.wape(truth[rows], mean[rows]), n))
        scores.append(Score(where, "bias", metrics.bias(truth[rows], mean[rows]), n))
    return scores


DEMAND = Task(
    name="demand",
    model=DemandModel,
    baselines=BASELINES,
    options=options,
    reason=reason,
    needed_days=needed_days,
    needs_customers=False,
    population=population,
    evaluate=evaluate,
    plots=plots,
    publish=publish,
    primary="wape",
    tunable={
        "learning_rate": Space(0.02, 0.2, log=True),
        "num_leaves": Space(7, 63, integer=True, log=True),
        "min_data_in_leaf": Space(30, 500, integer=True, log=True),
        "rounds": Space(30, 300, integer=True),
        "feature_fraction": Space(0.2, 0.9),
    },
)
