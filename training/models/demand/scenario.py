"""Forecasts of a demand model under a plan, beside those under the recorded plan."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.plan import check_known, complete_before, read_plan, sold_ids
from features.demand.scenario import apply_plan
from training.models.demand.model import DemandModel
from training.models.demand.quantiles import QUANTILES

NO_CHANGE = "the plan changes no forecast: it is of other products, locations or days, or empty"


def predict_scenario(
    model: DemandModel,
    dataset: Dataset,
    as_of: datetime,
    plan: pl.DataFrame | Iterable[Mapping[str, Any]],
    ids: pl.DataFrame | None = None,
    *,
    quantiles: Sequence[float] = QUANTILES,
    known_until: str | None = None,
) -> pl.DataFrame:
    """Forecast with a plan in place of the recorded one.

    Parameters
    ----------
    model, dataset, as_of, ids, quantiles
        As for `DemandModel.predict`.
    plan
        Promotions and prices; `features.demand.plan` has the columns. Recorded promotions and
        prices that it does not replace stay; an empty plan cancels all promotions.
    known_until
        The last day for which the plan is complete (`features.demand.plan.complete_before`).

    Returns
    -------
    polars.DataFrame
        The columns of `DemandModel.predict`, under the plan, `mean_recorded_plan` (the mean
        under the recorded plan) and `difference` (mean less that). With a warning if the plan
        changes no forecast.

    Raises
    ------
    InvalidInput, NotFound, MissingData
        If the plan cannot be used, naming its row and field.
    """
    grain = Grain.parse(model.grain)
    rows = read_plan(plan, as_of)
    check_known(rows, *sold_ids(dataset))
    recorded = model.predict(dataset, as_of, ids, quantiles=quantiles)
    today = to_day(as_of)
    until = complete_before(rows, known_until, today, model.horizon_days)
    planned = apply_plan(dataset, rows, grain, today, until)
    scenario = model.predict(planned, as_of, ids, quantiles=quantiles)
    key = [*grain.keys, "date"]
    joined = scenario.join(
        recorded.select(*key, mean_recorded_plan="mean"),
        on=key,
        how="left",
        maintain_order="left",
    )
    compared = joined.with_columns(difference=pl.col("mean") - pl.col("mean_recorded_plan"))
    if not compared.get_column("difference").ne(0).any():
        warnings.warn(NO_CHANGE, stacklevel=2)
    return compared
