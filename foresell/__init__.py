"""Python interface of Foresell: functions on a dataset that return pandas frames.

>>> import foresell
>>> shop = foresell.load()
>>> foresell.features("customers", shop, as_of="2017-12-01")
>>> report = foresell.evaluate("churn", shop)
>>> model = foresell.train("churn", shop, as_of="2017-12-01")
>>> foresell.predict(model, shop, as_of="2017-12-01")
>>> foresell.plot(report)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from features.calendar import AsOf
    from features.dataset import Dataset
    from training.backtest import Report
    from training.contract import Model
    from training.models.demand.model import DemandModel

__all__ = [
    "anomalies",
    "evaluate",
    "explain",
    "features",
    "load",
    "plot",
    "predict",
    "totals",
    "train",
]


def load(name: str = "complete-journey", home: Path | None = None) -> Dataset:
    """Open a dataset at its newest snapshot; the bundled one is imported if it is missing.

    Raises
    ------
    NotFound
        If there is no such dataset.
    """
    from features.dataset import open_dataset
    from features.ingest.sources import BUNDLED
    from features.storage.snapshots import list_datasets
    from foresell import importing as imports
    from foresell.settings import Settings

    settings = Settings() if home is None else Settings(home=home)
    if name in BUNDLED and name not in list_datasets(settings.home):
        imports.import_source(settings, name)
    return open_dataset(settings.home, name)


def features(
    builder: str,
    dataset: Dataset,
    as_of: AsOf,
    *,
    grain: str = "product:week",
    horizon_days: int = 28,
) -> pd.DataFrame:
    """Compute features known at `as_of`: of `customers`, `interactions` or `demand`.

    Parameters
    ----------
    grain, horizon_days
        Only of `demand`: its series, and the number of days ahead.

    Raises
    ------
    NotFound
        If there is no such builder.
    """
    from features.calendar import parse_as_of
    from features.customers.builder import customers
    from features.demand.builder import demand
    from features.demand.grain import Grain
    from features.errors import NotFound
    from features.interactions.builder import interactions

    instant = parse_as_of(as_of)
    builders: dict[str, Callable[[], Any]] = {
        "customers": lambda: customers(dataset, instant).sort("customer_id"),
        "interactions": lambda: interactions(dataset, instant).sort("customer_id", "product_id"),
        "demand": lambda: demand(dataset, Grain.parse(grain), instant, horizon_days).sort(
            *Grain.parse(grain).keys, "day"
        ),
    }
    if builder not in builders:
        raise NotFound(
            f"There is no feature builder {builder!r}; there is {', '.join(builders)}.",
            field="builder",
        )
    frame: pd.DataFrame = builders[builder]().collect().to_pandas()
    return frame


def evaluate(
    task: str,
    dataset: Dataset,
    *,
    folds: int = 3,
    grain: str | None = None,
    horizon_days: int | None = None,
    country: str | None = None,
) -> Report:
    """Backtest a task's model against all its baselines; `summary()` of the report ranks them.

    Raises
    ------
    NotFound
        If there is no such task.
    """
    from foresell.settings import Settings
    from training.backtest import evaluate as backtest
    from training.registry import get_task

    chosen = get_task(task)
    options = chosen.options(
        dataset, grain=grain, horizon_days=horizon_days, country=country or Settings().country
    )
    return backtest(chosen, dataset, folds, options=options)


def train(
    task: str,
    dataset: Dataset,
    as_of: AsOf | None = None,
    *,
    grain: str | None = None,
    horizon_days: int | None = None,
    country: str | None = None,
    **params: Any,
) -> Model:
    """Fit a task's model on records before `as_of`, without tracking.

    `foresell train` on the command line also evaluates, registers and publishes the model.

    Parameters
    ----------
    grain, horizon_days
        Options of the task; by default those that suit the records. Only demand has a grain.
    country
        ISO code of the country whose public holidays count in demand; by default
        `FORESELL_COUNTRY`.
    params
        Options of the model over its defaults.

    Raises
    ------
    NotFound
        If there is no such task.
    MissingData
        If the dataset lacks what its model needs.
    InvalidInput
        If `as_of` is after the dataset's end.
    """
    from foresell.settings import Settings
    from training.contract import model_with_options
    from training.registry import get_task
    from training.task_setup import model_params

    chosen, instant, settings = get_task(task), dataset.instant(as_of), Settings()
    chosen.model.needs.check(dataset, task)
    options = chosen.options(
        dataset,
        grain=grain,
        horizon_days=horizon_days,
        as_of=instant,
        country=country or settings.country,
    )
    further = model_params(chosen, explain_attributes=settings.explain_attributes)
    model = model_with_options(chosen.model, {**options, **further, **params})
    fitted: Model = model.fit(dataset, instant)
    return fitted


def predict(
    model: Model,
    dataset: Dataset,
    as_of: AsOf | None = None,
    ids: Any = None,
    *,
    plan: Any = None,
    plan_known_until: str | None = None,
    unknown: Literal["newcomer", "error"] = "newcomer",
) -> pd.DataFrame:
    """Predict at `as_of` for the given ids, by default for all that are known.

    `ids` are a list or a series of customer ids (of a grain's series, with one key), or a frame
    of pandas, Polars or another engine with the key columns. A customer without a known purchase
    gets the answer of a newcomer, or is an error where `unknown` is `error`. With a `plan` of
    promotions and prices (`features.demand.plan` documents its columns) a demand model predicts
    under this plan, and the difference to the forecast under the recorded one. The plan is complete
    up to the day `plan_known_until`; by default it tells of its own days alone, and an empty one
    (`[]`) that nothing is promoted over the horizon.
    """
    from features.errors import InvalidInput
    from features.frames import to_polars
    from foresell.ids import check_known, ids_of
    from training.models.demand.model import DemandModel
    from training.models.demand.scenario import predict_scenario

    instant = dataset.instant(as_of)
    frame = None if ids is None else ids_of(model, ids)
    if frame is not None and unknown == "error":
        check_known(dataset, instant, frame)
    if plan is None:
        return model.predict(dataset, instant, frame).to_pandas()
    if not isinstance(model, DemandModel):
        raise InvalidInput(f"A plan is for demand; this is {model.name}.", field="plan")
    rows = plan if isinstance(plan, list) else to_polars(plan, "plan")
    return predict_scenario(
        model, dataset, instant, rows, frame, known_until=plan_known_until
    ).to_pandas()


def explain(model: Model, dataset: Dataset, as_of: AsOf | None = None, *, ids: Any) -> pd.DataFrame:
    """Return the contribution of each reason group to each prediction, in rows.

    `ids` are as in `predict`.
    """
    from foresell.ids import ids_of

    instant = dataset.instant(as_of)
    return model.explain(dataset, instant, ids_of(model, ids)).to_pandas()


def totals(
    model: DemandModel,
    dataset: Dataset,
    as_of: AsOf | None = None,
    *,
    levels: str = "all",
    running: bool = False,
) -> pd.DataFrame:
    """Sum forecasts up by `all`, `department`, `department+location`, ... (separated by commas).

    With `running`, the row of a period has the total of all periods from the first up to it: the
    demand until then, also of single series by their own keys (`product`). Intervals rest on errors
    of such totals in historical forecasts, which takes a fit.
    """
    from foresell.forecast_options import totals_scorer

    instant = dataset.instant(as_of)
    return totals_scorer(levels.split(","), running=running)(model, dataset, instant).to_pandas()


def anomalies(model: DemandModel, dataset: Dataset, as_of: AsOf | None = None) -> pd.DataFrame:
    """Return recent periods with unexpected sales, with their size and a likely reason."""
    from foresell.forecast_options import recent_anomalies

    instant = dataset.instant(as_of)
    return recent_anomalies(model, dataset, instant).to_pandas()


def plot(report: Report) -> dict[str, Figure]:
    """Draw the figures of a backtest's last fold, by name."""
    return report.figures()
