"""Options of `foresell score demand`, and the rows that each of them asks of a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from foresell.score_options import ScoreOptions, Scorer

if TYPE_CHECKING:
    import polars as pl

    from training.models.demand.model import DemandModel

QUANTILES = (0.1, 0.5, 0.9)
NIXTLA = "nixtla"


@dataclass(frozen=True)
class DemandScoreOptions(ScoreOptions):
    """Options of `score` for demand.

    Attributes
    ----------
    grain
        Grain of the series; by default the one that suits the records.
    plan
        File of promotions and prices; forecasts under this plan and under the recorded one.
    plan_known_until
        The last day for which the plan is complete, ISO.
    totals
        Levels of totals, separated by commas, such as `department,all`.
    running
        Whether totals are those of all periods from the first up to each.
    quantiles
        Levels of the distribution, separated by commas, such as `0.1,0.5,0.975`.
    series
        File with the series to forecast; they need not have sold yet.
    explain
        Whether to write contributions to forecasts in place of forecasts.
    anomalies
        Whether to write recent anomalies in place of forecasts.
    format_name
        `nixtla` for forecasts with the columns of Nixtla's libraries (`features.long_frames`).
    """

    grain: str | None = None
    plan: Path | None = None
    plan_known_until: str | None = None
    totals: str | None = None
    running: bool = False
    quantiles: str | None = None
    series: Path | None = None
    explain: bool = False
    anomalies: bool = False
    format_name: str | None = None

    def set_up(self) -> dict[str, Any]:
        """Return the grain."""
        return {"grain": self.grain}

    def scorer(self) -> Scorer | None:
        """Return what computes the rows; None where only a grain is given, or nothing.

        Raises
        ------
        InvalidInput
            If options do not go together, or a value cannot be read.
        NotFound
            If there is no such file.
        """
        self._check()
        scorer = self._scorer()
        return scorer if self.format_name is None else series_format(scorer)

    def _scorer(self) -> Scorer | None:
        levels = QUANTILES if self.quantiles is None else _levels(self.quantiles)
        series = None if self.series is None else read_rows("series", self.series)
        if self.plan is not None:
            rows = read_rows("plan", self.plan)
            return scenario_scorer(rows, levels, series, self.plan_known_until)
        if series is not None:
            return series_scorer(series, levels)
        if self.totals is not None:
            return totals_scorer(self.totals.split(","), levels, running=self.running)
        if self.explain:
            return explanations
        if self.anomalies:
            return recent_anomalies
        if self.quantiles is not None:
            return lambda model, dataset, as_of: model.predict(dataset, as_of, quantiles=levels)
        return None

    def _check(self) -> None:
        """Refuse options that ask for different rows, or that others do not have."""
        names = ("plan", "totals", "explain", "anomalies")
        exclusive = [name for name in names if getattr(self, name) not in (None, False)]
        if len(exclusive) > 1:
            raise InvalidInput(
                f"--{exclusive[0]} and --{exclusive[1]} write different rows: ask for one.",
                field=exclusive[1],
            )
        if self.plan_known_until is not None and self.plan is None:
            raise InvalidInput(
                "--plan-known-until is of a plan: give --plan as well.", field="plan_known_until"
            )
        if self.running and self.totals is None:
            raise InvalidInput("--running is of totals: give --totals as well.", field="running")
        if self.format_name not in (None, NIXTLA):
            raise InvalidInput(
                f"format = {self.format_name!r} is unknown; use {NIXTLA}, or leave it out for the "
                "columns of the model.",
                field="format",
            )
        if self.format_name is not None and exclusive not in ([], ["plan"]):
            raise InvalidInput(
                f"--format {NIXTLA} is of forecasts, and --{exclusive[0]} writes other rows: "
                "leave one out.",
                field="format",
            )
        if self.quantiles is not None and (self.explain or self.anomalies):
            raise InvalidInput(
                f"--quantiles does not go with --{exclusive[0]}, which has none: leave it out.",
                field="quantiles",
            )
        if self.series is not None and exclusive not in ([], ["plan"]):
            raise InvalidInput(
                f"--series does not go with --{exclusive[0]}, which is of all series: leave it "
                "out.",
                field="series",
            )


def series_format(scorer: Scorer | None) -> Scorer:
    """Return what gives the forecasts of a scorer, or of `predict`, as a long frame of series."""
    from features.demand.grain import Grain
    from features.long_frames import forecasts_as_series

    def rows(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        forecasts = scorer(model, dataset, as_of) if scorer else model.predict(dataset, as_of)
        return forecasts_as_series(forecasts, Grain.parse(model.grain).keys)

    return rows


def scenario_scorer(
    plan: pl.DataFrame,
    quantiles: Sequence[float] = QUANTILES,
    series: pl.DataFrame | None = None,
    known_until: str | None = None,
) -> Scorer:
    """Return a scorer of forecasts under a plan, beside those under the recorded one."""
    from training.models.demand.scenario import predict_scenario

    return lambda model, dataset, as_of: predict_scenario(
        model, dataset, as_of, plan, series, quantiles=quantiles, known_until=known_until
    )


def series_scorer(series: pl.DataFrame, quantiles: Sequence[float] = QUANTILES) -> Scorer:
    """Return a scorer of given series, which need not have sold yet; see `DemandModel.predict`.

    The scorer raises InvalidInput if a key of the grain is missing, and NotFound if a series is
    unknown.
    """

    def forecast(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        from features.demand.grain import Grain

        keys = Grain.parse(model.grain).keys
        for key in keys:
            if key not in series.columns:
                raise InvalidInput(
                    f"series lacks the column {key!r}: at the grain {model.grain} a series is "
                    f"named by {', '.join(keys)}.",
                    field=key,
                )
        forecasts = model.predict(dataset, as_of, series, quantiles=quantiles)
        unknown = series.join(forecasts, on=keys, how="anti")
        if not unknown.is_empty():
            name = ", ".join(f"{key} {unknown[key][0]!r}" for key in keys)
            raise NotFound(
                f"series: {name} is unknown: nothing of it was sold and no table names it; "
                "columns department and category may describe a product.",
                field="series",
            )
        return forecasts

    return forecast


def totals_scorer(
    levels: Sequence[str], quantiles: Sequence[float] = QUANTILES, *, running: bool = False
) -> Scorer:
    """Return a scorer of totals: sums of forecasts by level, with intervals of their own.

    Rows have their level in `total`, and nulls in the columns of other levels. Where totals are
    `running`, each is that of all periods from the first up to its own.
    """

    def add_up(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        import polars as pl

        from features.demand.grain import Grain
        from features.demand.plan_ends import planned_days
        from training.models.demand.historical_forecasts import HistoricalForecasts
        from training.models.demand.reconciliation import Hierarchy

        grain = Grain.parse(model.grain)
        historical = HistoricalForecasts.fit(model, dataset, as_of)
        plan_days = planned_days(dataset, grain, to_day(as_of))
        past = historical.by_origin(dataset, "sampled", plan_days)
        hierarchy = Hierarchy.fit(dataset, grain, past, levels, running=running)
        forecasts = model.predict(dataset, as_of)
        parts = [
            hierarchy.totals(dataset, forecasts, level, quantiles).select(
                pl.lit(level).alias("total"), pl.all()
            )
            for level in levels
        ]
        totals = pl.concat(parts, how="diagonal")
        names = [c for part in parts for c in part.columns[1 : part.columns.index("date")]]
        first = ["total", *dict.fromkeys(names)]
        return totals.select(*first, *(c for c in totals.columns if c not in first))

    return add_up


def explanations(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return the contributions to each forecast, which add up to it.

    Only for the series that the task evaluates, which sell steadily and are at most 2,500,
    because contributions cost a hundred times as much as forecasts.
    """
    from training.models.demand.task import population

    ids = population(dataset, as_of, {"grain": model.grain})
    return model.explain(dataset, as_of, ids)


def recent_anomalies(model: DemandModel, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
    """Return the recent periods whose sales were outside their expected range."""
    from features.demand.grain import Grain
    from training.models.demand.anomalies import detect_anomalies, without_overlap
    from training.models.demand.historical_forecasts import HistoricalForecasts

    grain = Grain.parse(model.grain)
    historical = HistoricalForecasts.fit(model, dataset, as_of)
    past = without_overlap(historical.by_origin(dataset, "steady"), grain)
    return detect_anomalies(dataset, grain, model.country, past)


def read_rows(name: str, path: Path) -> pl.DataFrame:
    """Read the rows of an option, such as a plan, from CSV or Parquet.

    Raises
    ------
    NotFound
        If there is no such file.
    InvalidInput
        If it is neither, or cannot be read.
    """
    import polars as pl

    if not path.is_file():
        raise NotFound(f"{name} = {path}: there is no such file.", field=name)
    try:
        if path.suffix == ".csv":
            return pl.read_csv(path, infer_schema=False)  # keeps ids such as 007
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
