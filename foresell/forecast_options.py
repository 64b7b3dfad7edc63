"""What can be asked of a demand model beside forecasts: under a plan, totals, why, anomalies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from features.dataset import Dataset
from features.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import polars as pl

    from training.models.demand.model import DemandModel

    Answer = Callable[[DemandModel, Dataset, datetime], pl.DataFrame]

QUANTILES = (0.1, 0.5, 0.9)


def asked(
    model: str,
    *,
    plan: Path | None = None,
    totals: str | None = None,
    why: bool = False,
    anomalies: bool = False,
    quantiles: str | None = None,
    series: Path | None = None,
) -> Answer | None:
    """Turn options of `score` into a question; None where nothing but forecasts is asked for.

    Raises
    ------
    InvalidInput
        If the options do not go together, or the model is another.
    """
    given = {
        "plan": plan is not None,
        "totals": totals is not None,
        "why": why,
        "anomalies": anomalies,
        "quantiles": quantiles is not None,
        "series": series is not None,
    }
    names = [name for name, is_given in given.items() if is_given]
    if not names:
        return None
    if model != "demand":
        raise InvalidInput(f"--{names[0]} is for demand; this is {model}.", field=names[0])
    exclusive = [name for name in names if name not in ("quantiles", "series")]
    if len(exclusive) > 1:
        raise InvalidInput(
            f"--{exclusive[0]} and --{exclusive[1]} write different rows: ask for one.",
            field=exclusive[1],
        )
    if quantiles is not None and (why or anomalies):
        raise InvalidInput(
            f"--quantiles does not go with --{exclusive[0]}, which has none.", field="quantiles"
        )
    if series is not None and exclusive not in ([], ["plan"]):
        raise InvalidInput(
            f"--series does not go with --{exclusive[0]}, which is of all.", field="series"
        )
    levels = QUANTILES if quantiles is None else _levels(quantiles)
    wanted = None if series is None else read_rows("series", series)
    if plan is not None:
        return under_plan(read_rows("plan", plan), levels, wanted)
    if wanted is not None:
        return of_series(wanted, levels)
    if totals is not None:
        return totals_of(totals.split(","), levels)
    if why:
        return reasons
    if anomalies:
        return not_as_expected
    return lambda model, dataset, as_of: model.predict(dataset, as_of, quantiles=levels)


def under_plan(
    plan: pl.DataFrame,
    quantiles: Sequence[float] = QUANTILES,
    series: pl.DataFrame | None = None,
) -> Answer:
    """Ask for the forecast under a plan beside that under the books."""
    from training.models.demand.scenario import predict_under

    return lambda model, dataset, as_of: predict_under(
        model, dataset, as_of, plan, series, quantiles=quantiles
    )


def of_series(series: pl.DataFrame, quantiles: Sequence[float] = QUANTILES) -> Answer:
    """Ask for some series, also for such as have not sold yet; see `DemandModel.predict`.

    The answer raises InvalidInput where a key of the grain is missing, NotFound where nothing is
    known of a series.
    """

    def answer(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        from features.demand.grain import Grain

        keys = Grain.parse(model.grain).keys
        for key in keys:
            if key not in series.columns:
                raise InvalidInput(
                    f"series lacks the column {key!r}: at the grain {model.grain} a series is "
                    f"named by {', '.join(keys)}.",
                    field=key,
                )
        found = model.predict(dataset, as_of, series, quantiles=quantiles)
        unknown = series.join(found, on=keys, how="anti")
        if not unknown.is_empty():
            named = ", ".join(f"{key} {unknown[key][0]!r}" for key in keys)
            raise NotFound(
                f"series: {named} is unknown: nothing of it was sold and no table names it; "
                "columns department and category may describe a product.",
                field="series",
            )
        return found

    return answer


def totals_of(levels: Sequence[str], quantiles: Sequence[float] = QUANTILES) -> Answer:
    """Ask for totals: of each level the sums of all forecasts, with intervals of their own.

    Rows say which `total` they are of, and have a null in the columns of the other levels.
    """

    def answer(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        import polars as pl

        from features.demand.grain import Grain
        from training.models.demand.historical_forecasts import HistoricalForecasts
        from training.models.demand.reconciliation import Hierarchy

        grain = Grain.parse(model.grain)
        past = HistoricalForecasts.fit(model, dataset, as_of).look_back(dataset)
        hierarchy = Hierarchy.fit(dataset, grain, past, levels)
        forecasts = model.predict(dataset, as_of)
        parts = [
            hierarchy.totals(dataset, forecasts, level, quantiles).select(
                pl.lit(level).alias("total"), pl.all()
            )
            for level in levels
        ]
        found = pl.concat(parts, how="diagonal")
        names = [c for part in parts for c in part.columns[1 : part.columns.index("date")]]
        first = ["total", *dict.fromkeys(names)]
        return found.select(*first, *(c for c in found.columns if c not in first))

    return answer


def reasons(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Ask why: the contributions to each forecast, which add up to it.

    Of the series that the model is judged on, which sell steadily and are at most 2,500: reasons
    cost a hundred times what forecasts do.
    """
    from training.models.demand.task import population

    ids = population(dataset, as_of, {"grain": model.grain})
    return model.explain(dataset, as_of, ids)


def not_as_expected(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Ask for the recent periods that sold not as expected."""
    from features.demand.grain import Grain
    from training.models.demand.anomalies import anomalies, near
    from training.models.demand.historical_forecasts import HistoricalForecasts

    grain = Grain.parse(model.grain)
    past = near(HistoricalForecasts.fit(model, dataset, as_of).look_back(dataset), grain)
    return anomalies(dataset, grain, model.country, past)


def read_rows(name: str, path: Path) -> pl.DataFrame:
    """Read the rows of an option, such as a plan's, from CSV or Parquet.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidInput
        If it is neither.
    """
    import polars as pl

    if not path.is_file():
        raise NotFound(f"{name} = {path}: there is no such file.", field=name)
    try:
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema=False)  # ids such as 007 stay as they are
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{name} = {path} cannot be read: {error}", field=name) from error
    raise InvalidInput(f"{name} = {path} is neither a .csv nor a .parquet file.", field=name)


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(
            f"quantiles = {text!r}: give levels such as 0.1,0.5,0.975.", field="quantiles"
        ) from error
