"""The demand task: evaluation, baselines, figures and tuning ranges of the demand model."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.noise_floor import noise_floor
from features.demand.plan_ends import hidden_from
from features.demand.series import all_series, steady_series, units_matrix
from features.typing import Floats
from training import metrics
from training.contract import Score, Space, Task
from training.models.demand.baselines import BASELINES
from training.models.demand.grain_choice import least_days, needed_days, options, reason
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish
from training.models.demand.quantiles import level_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SERIES = 2_500
# Days before the instant over which RMSSE measures the scale of a series.
SCALE_DAYS = 364
# Levels of the weighted quantile loss.
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MAX_SLICES = 7
# Periods that describe a series today.
RECENT_PERIODS = 28


def population(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return series that sold a unit a period over the last 28 periods; at most 2,500 by hash."""
    grain = Grain.parse(options["grain"])
    steady = steady_series(dataset, grain, to_day(as_of)).collect().to_polars()
    hashed = steady.with_columns(order=pl.concat_str(grain.keys, separator="|").hash(seed=11))
    return hashed.sort("order").head(MAX_SERIES).select(grain.keys).sort(grain.keys)


def hide_plan(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> Dataset | None:
    """Return the dataset without promotions and prices from `as_of` on; None if it has neither."""
    if not {"promotions", "prices"} & set(dataset.tables):
        return None
    return hidden_from(dataset, Grain.parse(options["grain"]), to_day(as_of))


def evaluate(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> list[Score]:
    """Compare forecasts with sales; a series without a forecast counts as a forecast of zero.

    Shares of outcomes inside and beyond intervals are of periods that are not forecast as closed.
    Returns no scores where the population sold nothing: no error can be scaled then.
    """
    grain, day = Grain.parse(options["grain"]), to_day(as_of)
    ids = population(dataset, as_of, options)
    truth, forecasts = _outcomes(dataset, as_of, options, ids, predictions)
    if not truth.any():
        return []
    periods = max(min(SCALE_DAYS // grain.days, grain.between(dataset.days[0], day)), 2)
    past = units_matrix(dataset, grain, day, -periods, ids)
    mean, n = forecasts["mean"], truth.size
    scaled = metrics.rmsse(truth, mean, metrics.squared_step(past))
    scaled = scaled[~np.isnan(scaled)]
    scores = [
        Score("all", "wape", metrics.wape(truth, mean), n),
        Score("all", "bias", metrics.bias(truth, mean), n),
        # The error of a forecast that knows every rate: the part of WAPE that is noise.
        Score("all", "wape_noise_floor", noise_floor(dataset, grain, as_of, ids).wape, n),
    ]
    if len(scaled):
        scores.append(Score("all", "rmsse", float(scaled.mean()), len(scaled)))
    if "q50" in forecasts:
        flat = truth.ravel()
        losses = [metrics.pinball(flat, forecasts[f"q{q}"].ravel(), q / 100) for q in (10, 50, 90)]
        low, high = forecasts["q10"].ravel(), forecasts["q90"].ravel()
        # That nothing is sold while closed is certain: such periods tell nothing of an interval.
        uncertain = (mean.ravel() > 0) | (flat > 0)
        y, q10, q90 = flat[uncertain], low[uncertain], high[uncertain]
        scores += [
            Score("all", "pinball", float(np.mean(losses) / truth.mean()), n),
            Score("all", "coverage_80", metrics.coverage(y, q10, q90), len(y)),
            Score("all", "below_q10", float((y < q10).mean()), len(y)),
            Score("all", "above_q90", float((y > q90).mean()), len(y)),
            Score("all", "interval_width_80", metrics.interval_width(flat, low, high), n),
        ]
    deciles = {q: forecasts[level_name(q)].ravel() for q in DECILES if level_name(q) in forecasts}
    if len(deciles) == len(DECILES):
        scores.append(Score("all", "wql", metrics.wql(truth.ravel(), deciles), n))
    return scores + _slice_scores(dataset, grain, ids, truth, mean)


def per_case_metrics(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return the absolute error of each series over the mean sales of a series.

    Their mean is WAPE. There are none where the population sold nothing.
    """
    ids = population(dataset, as_of, options)
    truth, forecasts = _outcomes(dataset, as_of, options, ids, predictions)
    if not truth.any():
        return {}
    return {"wape": np.abs(truth - forecasts["mean"]).sum(axis=1) / truth.sum(axis=1).mean()}


def main_features(dataset: Dataset, as_of: datetime, options: Mapping[str, Any]) -> pl.DataFrame:
    """Return mean sales and the share of periods without, over the last 28 periods of a series."""
    grain = Grain.parse(options["grain"])
    ids = population(dataset, as_of, options)
    units = units_matrix(dataset, grain, to_day(as_of), -RECENT_PERIODS, ids)
    return pl.DataFrame({"units": units.mean(axis=1), "without_sales": (units <= 0).mean(axis=1)})


def _outcomes(
    dataset: Dataset,
    as_of: datetime,
    options: Mapping[str, Any],
    ids: pl.DataFrame,
    predictions: pl.DataFrame,
) -> tuple[Floats, dict[str, Floats]]:
    """Return sales and forecasts of series, shape (series, periods)."""
    grain, day = Grain.parse(options["grain"]), to_day(as_of)
    steps = grain.periods(options["horizon_days"])
    truth = units_matrix(dataset, grain, day, steps, ids, to_day(dataset.end))
    return truth, _to_arrays(grain, ids, day, steps, predictions)


def _to_arrays(
    grain: Grain, ids: pl.DataFrame, day: int, steps: int, predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return predictions by column, shape (series, periods); zero where there are none."""
    phase = grain.phase(day)
    step = grain.number(pl.col("date").cast(pl.Int32), phase) - int(grain.number(day, phase))
    cells = predictions.with_columns(step.alias("step")).join(
        ids.select(grain.keys).with_row_index("row"), on=grain.keys, how="inner"
    )
    cells = cells.filter(pl.col("step").is_between(0, steps - 1))
    row, column = cells.get_column("row").to_numpy(), cells.get_column("step").to_numpy()
    arrays: dict[str, Floats] = {}
    for name in ("mean", *map(level_name, DECILES)):
        if name in predictions.columns:
            arrays[name] = np.zeros((ids.height, steps))
            arrays[name][row, column] = cells.get_column(name).to_numpy()
    return arrays


def _slice_scores(
    dataset: Dataset, grain: Grain, ids: pl.DataFrame, truth: Floats, mean: Floats
) -> list[Score]:
    """Score the largest departments, or the largest locations if the grain has no product."""
    index = all_series(dataset, grain).index.collect().to_polars()
    columns = {"in_department": "department", "location_id": "location_id"}
    column = next((c for c in columns if c in index.columns and c not in grain.keys[:1]), None)
    if column is None:
        return []
    index = index.select({*grain.keys, column})
    group = ids.join(index, on=grain.keys, how="left", maintain_order="left").get_column(column)
    units = pl.DataFrame({"slice": group, "units": truth.sum(axis=1)}).drop_nulls()
    largest = units.group_by("slice").agg(pl.col("units").sum()).filter(pl.col("units") > 0)
    scores = []
    for value in largest.sort("units", "slice", descending=[True, False])["slice"][:MAX_SLICES]:
        rows = (group == value).fill_null(value=False).to_numpy()
        name, n = f"{columns[column]}={value}", truth[rows].size
        scores.append(Score(name, "wape", metrics.wape(truth[rows], mean[rows]), n))
        scores.append(Score(name, "bias", metrics.bias(truth[rows], mean[rows]), n))
    return scores


def member_weights(model: DemandModel) -> list[Score]:
    """Return the mean weight of each member of the ensemble by segment of the horizon."""
    weights = model.weights_
    classes = len(weights.weights)
    return [
        Score(f"member={name},days_ahead_from={day}", "weight", float(value), classes)
        for day, means in zip(weights.segments, weights.weights.mean(axis=0), strict=True)
        for name, value in zip(weights.members, means, strict=True)
    ]


def describe_ensemble(
    model: DemandModel,
    dataset: Dataset,  # noqa: ARG001
    as_of: datetime,  # noqa: ARG001
) -> dict[str, Any]:
    """Return the members' weights by volume class and segment of the horizon."""
    return {"weights": model.weights_.describe()}


def plots(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> "dict[str, Figure]":
    """Draw example series, and mean outcome against mean forecast by decile of forecast."""
    from training.models.demand.plots import draw  # matplotlib is slow to import

    return draw(dataset, as_of, options, predictions)


DEMAND = Task(
    name="demand",
    model=DemandModel,
    baselines=BASELINES,
    options=options,
    reason=reason,
    needed_days=needed_days,
    least_days=least_days,
    needs_customers=False,
    population=population,
    evaluate=evaluate,
    per_case_metrics=per_case_metrics,
    main_features=main_features,
    hide_plan=hide_plan,
    request={"quantiles": DECILES},
    model_scores=member_weights,
    extra_artifacts={"ensemble": describe_ensemble},
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
