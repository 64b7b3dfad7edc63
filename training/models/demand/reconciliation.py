"""Forecasts of series in; forecasts of departments, locations and the whole chain out.

Bottom-up: the mean of a total is the sum of the means of its series, and of its periods where it
runs over several. Its quantiles are not sums: errors are correlated, but not perfectly. The
distribution of the errors of totals, by size and relative to independent series, is measured on
historical forecasts; see `training.models.demand.historical_forecasts`. Errors of two periods of a
running total have one correlation, at which past running totals have the stated coverage.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from scipy.special import ndtri

from features.dataset import Dataset
from features.demand.grain import LOCATION_KEYS, PRODUCT_KEYS, Grain
from features.demand.series import GROUPS, all_series, with_attributes
from features.errors import InvalidInput, MissingData
from features.typing import Floats
from training.models.demand.assumptions import COLUMNS as ASSUMPTIONS
from training.models.demand.assumptions import common_assumptions
from training.models.demand.quantiles import level_name

ALL = "all"
# The total of the series that have no department, location, ...
NOT_NAMED = "not named"
# Levels that are named by another word than their column.
_COLUMNS = {"product": "product_id", "location": "location_id"}
# Error quantiles are measured by size of the total: so many bins of at least so many errors.
_BINS, _MIN_BIN_ERRORS = 4, 60
# The distance from the median to an outer decile of a normal distribution.
_DECILE = float(ndtri(0.9))


@dataclass(frozen=True)
class TotalErrors:
    """The distribution of the errors of one level's totals.

    Attributes
    ----------
    common_error
        Relative standard error that all series of a total share.
    correlation
        Of the errors of two periods of a total, for running totals.
    sizes
        Means of totals, ascending, at which the three below were measured.
    low, middle, high
        Lowest decile, median and highest decile of errors over their expected size.
    """

    common_error: float
    correlation: float
    sizes: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, past: pl.DataFrame, sequence: Sequence[str] = ()) -> Self:
        """Fit on totals with `mean`, `variance` (if errors are independent) and `units`.

        With the columns of a `sequence`, on running totals over the rows that agree in them.
        """
        past = past.filter(pl.col("mean") > 0)
        common_error = _least(lambda value: _inside(past, _expected_error(past, value)), 2.0)
        correlation = 0.0
        expected = _expected_error(past, common_error)
        if sequence:
            past = running_totals(past, sequence, common_error)
            correlation = _least(lambda value: _inside(past, _running_error(past, value)), 1.0)
            expected = _running_error(past, correlation)
        mean = past.get_column("mean").to_numpy()
        scaled = (past.get_column("units").to_numpy() - mean) / expected
        order = np.argsort(mean, kind="stable")
        bins = max(min(_BINS, len(order) // _MIN_BIN_ERRORS), 1)
        parts = np.array_split(order, bins)
        deciles = np.array([np.quantile(scaled[part], (0.1, 0.5, 0.9)) for part in parts])
        # The mean of a total is between its outer deciles even where past forecasts were biased.
        deciles[:, 0], deciles[:, 2] = np.minimum(deciles[:, 0], 0), np.maximum(deciles[:, 2], 0)
        sizes = [max(float(np.exp(np.log(mean[part]).mean())), 1e-9) for part in parts]
        deciles_by_size = (tuple(map(float, column)) for column in deciles.T)
        return cls(common_error, correlation, tuple(sizes), *deciles_by_size)

    def quantiles(self, totals: pl.DataFrame, levels: Sequence[float]) -> Floats:
        """Return quantiles of totals with `mean` and `variance`, shape (totals, levels).

        Those of `running_totals` have `squares` and `errors` in place of `variance`.
        """
        mean = totals.get_column("mean").to_numpy()
        size = np.log(np.maximum(mean, 1e-9))
        low, middle, high = (
            np.interp(size, np.log(self.sizes), values)
            for values in (self.low, self.middle, self.high)
        )
        if "squares" in totals.columns:
            scale = _running_error(totals, self.correlation)
        else:
            scale = _expected_error(totals, self.common_error)
        columns = []
        for level in levels:
            z = float(ndtri(level)) / _DECILE
            side = high - middle if z > 0 else middle - low
            columns.append(np.maximum(mean + scale * (middle + z * side), 0.0))
        return np.column_stack(columns)


@dataclass(frozen=True)
class Hierarchy:
    """The levels above the series, and the error distribution of the totals of each.

    Attributes
    ----------
    grain
        Of the series.
    errors
        By level, such as `department` or `department+location`.
    running
        Whether each total is that of all periods from the first up to its own.
    """

    grain: Grain
    errors: Mapping[str, TotalErrors]
    running: bool = False

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        grain: Grain,
        past: Iterable[pl.DataFrame],
        levels: Sequence[str] | None = None,
        *,
        running: bool = False,
    ) -> Self:
        """Fit the error distributions.

        Parameters
        ----------
        dataset, grain
            The attributes of the series, and the grain.
        past
            Forecasts with outcomes, a frame per origin, as of `HistoricalForecasts.by_origin`.
        levels
            By default all that the dataset has.
        running
            Whether to total over the periods from the first up to each as well.

        Raises
        ------
        InvalidInput, MissingData
            If a level is unknown, or the dataset lacks a column of it.
        """
        chosen = available_levels(dataset, grain) if levels is None else levels
        members = {level: membership(dataset, grain, level) for level in chosen}
        parts: dict[str, list[pl.DataFrame]] = {level: [] for level in chosen}
        for frame in past:
            sampled = frame.filter(pl.col("sampled"))
            for level, series in members.items():
                parts[level].append(aggregate(sampled, grain, level, series))
        errors = {}
        for level in chosen:
            past_totals = pl.concat(
                part.with_columns(origin=i) for i, part in enumerate(parts[level])
            )
            sequence = ("origin", *level_columns(level)) if running else ()
            errors[level] = TotalErrors.fit(past_totals, sequence)
        return cls(grain, errors, running)

    def totals(
        self, dataset: Dataset, forecasts: pl.DataFrame, level: str, quantiles: Sequence[float]
    ) -> pl.DataFrame:
        """Forecast the totals of a level.

        Parameters
        ----------
        dataset
            The attributes of the series.
        forecasts
            Of series: the grain's keys, `date`, `mean`, `q10`, `q90` and the columns of
            `assumptions`.
        level
            One of `errors`.
        quantiles
            Levels above 0 and below 1.

        Returns
        -------
        polars.DataFrame
            The level's columns (none for `all`), `date`, `mean`, the quantiles, `series` (number of
            series in the total) and the columns of `assumptions`; sorted.

        Raises
        ------
        InvalidInput
            If the level was not fitted.
        """
        if level not in self.errors:
            raise InvalidInput(
                f"totals = {level!r} was not fitted; use {', '.join(self.errors)}.",
                field="totals",
            )
        sums = aggregate(forecasts, self.grain, level, membership(dataset, self.grain, level))
        errors = self.errors[level]
        if self.running:
            sums = running_totals(sums, level_columns(level), errors.common_error)
        values = errors.quantiles(sums, quantiles)
        names = [level_name(quantile) for quantile in quantiles]
        return sums.select(
            *level_columns(level),
            "date",
            "mean",
            *(pl.Series(name, values[:, i]) for i, name in enumerate(names)),
            pl.col("series").cast(pl.Int64),
            *ASSUMPTIONS,
        )


def level_columns(level: str) -> list[str]:
    """Return the columns whose values name the totals of a level: `location_id` of `location`."""
    return [] if level == ALL else [_COLUMNS.get(word, word) for word in level.split("+")]


def available_levels(dataset: Dataset, grain: Grain) -> list[str]:
    """Return the levels above the series for which the dataset has columns."""
    words = {column: word for word, column in _COLUMNS.items()}
    above = [key for key in ("department", "category") if key not in grain.keys]
    above += [key for key in ("channel", "region") if key not in grain.keys]
    several = len(grain.keys) > 1
    singles = [words.get(key, key) for key in grain.keys if several]
    levels = [ALL]
    for level in [*above, *singles, "department+location"]:
        try:
            series = membership(dataset, grain, level)
        except (InvalidInput, MissingData):
            continue
        if 1 < series.select(level_columns(level)).n_unique() < series.height:
            levels.append(level)
    return levels


def membership(dataset: Dataset, grain: Grain, level: str) -> pl.DataFrame:
    """Return the total of each series: the grain's keys and the level's columns.

    Raises
    ------
    InvalidInput
        If the level is unknown.
    MissingData
        If the dataset lacks a column of it.
    """
    index = all_series(dataset, grain).index
    columns = level_columns(level)
    for column in columns:
        if column not in (*PRODUCT_KEYS, *LOCATION_KEYS):
            raise InvalidInput(
                f"totals = {level!r} is not a level: use all, department, category, location, "
                "region, or several joined by +, such as department+location.",
                field="totals",
            )
        if column in GROUPS and f"in_{column}" in index.collect_schema().names():
            index = index.rename({f"in_{column}": column})
    index = with_attributes(dataset, index, tuple(columns))
    named = list(dict.fromkeys([*grain.keys, *columns]))
    series = index.select(*named).collect().to_polars()
    above = [column for column in columns if column not in grain.keys]
    return series.with_columns(pl.col(above).fill_null(NOT_NAMED))


def aggregate(
    forecasts: pl.DataFrame, grain: Grain, level: str, members: pl.DataFrame
) -> pl.DataFrame:
    """Sum forecasts by total and date.

    Parameters
    ----------
    forecasts
        Of series: the grain's keys, `date`, `mean`, `q10`, `q90` and, if known, `units`.
    grain, level
        Of the series, and of the totals.
    members
        As of `membership`.

    Returns
    -------
    polars.DataFrame
        The level's columns, `date`, `mean`, `variance` (if errors were independent), `series`
        (their number), and `units` and what is assumed if given.
    """
    columns = level_columns(level)
    assumed = common_assumptions() if set(ASSUMPTIONS) <= set(forecasts.columns) else []
    extra = [column for column in columns if column not in grain.keys]
    joined = forecasts
    if extra:
        joined = forecasts.join(
            members.select(*grain.keys, *extra), on=grain.keys, how="left", maintain_order="left"
        )
    spread = (pl.col("q90") - pl.col("q10")) / (2 * _DECILE)
    # The variance of a count is not below its mean, however narrow its deciles are.
    variance = pl.max_horizontal(spread**2, "mean").alias("variance")
    joined = joined.with_columns(variance, series=pl.lit(1.0))
    names = ["mean", "variance", "series", *(["units"] if "units" in forecasts.columns else [])]
    groups = joined.group_by(*columns, "date").agg(assumed)
    sums = groups.sort(*columns, "date")
    positions = joined.select(*columns, "date").join(
        sums.with_row_index("position"), on=[*columns, "date"], how="left", maintain_order="left"
    )
    # `bincount` adds in the order of rows, which a group-by does not promise: sums repeat exactly.
    total = positions.get_column("position").to_numpy()
    values = {
        name: np.bincount(total, weights=joined.get_column(name).to_numpy(), minlength=sums.height)
        for name in names
    }
    return sums.with_columns(pl.Series(name, column) for name, column in values.items())


def running_totals(
    totals: pl.DataFrame, sequence: Sequence[str], common_error: float
) -> pl.DataFrame:
    """Sum totals of periods from the first period on, over the rows that agree in `sequence`.

    Returns
    -------
    polars.DataFrame
        The rows, with sums of `mean` and, if given, `units`; `errors` and `squares` are sums of
        the expected errors of the periods and of their squares.
    """
    error = pl.Series("errors", _expected_error(totals, common_error))
    totals = totals.with_columns(error, squares=error**2)
    names = [name for name in ("mean", "units", "errors", "squares") if name in totals.columns]
    sums = pl.col(names).cum_sum()
    return totals.with_columns(sums.over(sequence) if sequence else sums)


def _expected_error(totals: pl.DataFrame, common_error: float) -> Floats:
    mean, variance = (totals.get_column(c).to_numpy() for c in ("mean", "variance"))
    error: Floats = np.sqrt(variance + (common_error * mean) ** 2)
    return error


def _running_error(totals: pl.DataFrame, correlation: float) -> Floats:
    errors, squares = (totals.get_column(c).to_numpy() for c in ("errors", "squares"))
    error: Floats = np.sqrt((1 - correlation) * squares + correlation * errors**2)
    return error


def _inside(totals: pl.DataFrame, expected: Floats) -> float:
    """Return the share of errors between the outer deciles of a normal distribution."""
    mean, units = (totals.get_column(c).to_numpy() for c in ("mean", "units"))
    return float((np.abs(units - mean) <= _DECILE * expected).mean())


def _least(inside: Callable[[float], float], high: float) -> float:
    """Find the value, from 0 to `high`, at which 80 % of errors are between the outer deciles."""
    low = 0.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < 0.8 else (low, middle)
    return high
