"""A demand model and another plan in, the forecast under it beside that under the books out.

Asked by the command line and from Python; serving does the same from what was published.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from features.demand.plan import check_known, read_plan, sold_ids
from features.demand.scenario import apply_plan
from training.models.demand.distribution import QUANTILES
from training.models.demand.model import DemandModel


def predict_under(
    model: DemandModel,
    dataset: Dataset,
    as_of: datetime,
    plan: pl.DataFrame | Iterable[Mapping[str, Any]],
    ids: pl.DataFrame | None = None,
    *,
    quantiles: Sequence[float] = QUANTILES,
) -> pl.DataFrame:
    """Forecast as if a plan stood in the books.

    Parameters
    ----------
    model, dataset, as_of, ids, quantiles
        As for `DemandModel.predict`.
    plan
        Promotions and prices, see `features.demand.plan`.

    Returns
    -------
    polars.DataFrame
        As of `DemandModel.predict`, under the plan, and `mean_booked` (the mean under the
        books) and `difference` (by how much the plan moves it).

    Raises
    ------
    InvalidInput, NotFound, MissingData
        If the plan cannot be used, naming its row and field.
    """
    grain = Grain.parse(model.grain)
    rows = read_plan(plan, as_of)
    check_known(rows, *sold_ids(dataset))
    booked = model.predict(dataset, as_of, ids, quantiles=quantiles)
    under = model.predict(apply_plan(dataset, rows, grain), as_of, ids, quantiles=quantiles)
    key = [*grain.keys, "date"]
    joined = under.join(
        booked.select(*key, mean_booked="mean"), on=key, how="left", maintain_order="left"
    )
    return joined.with_columns(difference=pl.col("mean") - pl.col("mean_booked"))
