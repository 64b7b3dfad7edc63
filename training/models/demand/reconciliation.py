"""Forecasts of series in, forecasts of departments, locations and the whole chain out.

Bottom-up: a total's mean is the sum of the means below it. Its interval is not the sum of
theirs: series miss together, but not all at once. How much totals missed in the past, for
their size and beside what independent series would miss, is measured on forecasts that were
made without knowing it; see `training.models.demand.historical_forecasts`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from scipy import stats

from features.dataset import Dataset
from features.demand.grain import LOCATION_KEYS, PRODUCT_KEYS, Grain
from features.demand.series import GROUPS, all_series, with_attributes
from features.errors import InvalidInput, MissingData
from features.typing import Floats
from training.models.demand.distribution import level_name

ALL = "all"
# Series that belong to no department, location, ... are a total of their own.
NOT_NAMED = "not named"
_WORDS = {"product": "product_id", "location": "location_id"}
# Errors are looked at by size of the total: so many bins of at least so many errors.
_BINS, _BIN_ERRORS = 4, 60
# The distance from the median to an outer decile of a normal distribution.
_DECILE = float(stats.norm.ppf(0.9))


@dataclass(frozen=True)
class Misses:
    """How totals of one level missed in the past.

    Attributes
    ----------
    common
        The size of a relative error that all series of a total share.
    sizes
        Means of totals, ascending, at which the three below were measured.
    low, middle, high
        Deciles (lowest, median, highest) of errors over their expected size.
    coverage_80
        How often the 80 % interval held at origins that it was not measured on.
    errors
        How many errors were seen.
    """

    common: float
    sizes: tuple[float, ...]
    low: tuple[float, ...]
    middle: tuple[float, ...]
    high: tuple[float, ...]
    coverage_80: float
    errors: int

    @classmethod
    def fit(cls, past: pl.DataFrame) -> Self:
        """Measure on `origin`, `mean`, `variance` (as if independent) and `units` of totals."""
        past = past.filter(pl.col("mean") > 0)
        origins = past.get_column("origin").to_numpy()
        held = np.zeros(past.height, dtype=bool)
        for origin in np.unique(origins):
            one = origins == origin
            if one.all():
                break
            others = _measure(past.filter(~one))
            found = others.quantiles(past.filter(one), (0.1, 0.9))
            units = past.get_column("units").to_numpy()[one]
            held[one] = (found[:, 0] <= units) & (units <= found[:, 1])
        measured = _measure(past)
        return cls(**{**asdict(measured), "coverage_80": float(held.mean())})

    def quantiles(self, totals: pl.DataFrame, levels: Sequence[float]) -> Floats:
        """Return quantiles of totals with `mean` and `variance`, shape (totals, levels)."""
        mean = totals.get_column("mean").to_numpy()
        size = np.log(np.maximum(mean, 1e-9))
        low, middle, high = (
            np.interp(size, np.log(self.sizes), values)
            for values in (self.low, self.middle, self.high)
        )
        scale = _expected(mean, totals.get_column("variance").to_numpy(), self.common)
        columns = []
        for level in levels:
            z = float(stats.norm.ppf(level)) / _DECILE
            side = high - middle if z > 0 else middle - low
            columns.append(np.maximum(mean + scale * (middle + z * side), 0.0))
        return np.column_stack(columns)


@dataclass(frozen=True)
class Hierarchy:
    """The levels that forecasts are added up to, and how their totals missed.

    Attributes
    ----------
    grain
        Of the series.
    misses
        By level, such as `department` or `department+location`.
    """

    grain: Grain
    misses: Mapping[str, Misses]

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        grain: Grain,
        past: Iterable[pl.DataFrame],
        levels: Sequence[str] | None = None,
    ) -> Self:
        """Measure how totals missed.

        Parameters
        ----------
        dataset, grain
            What the series belong to.
        past
            Forecasts beside outcomes, a frame an origin, as of `HistoricalForecasts.look_back`.
        levels
            The levels wanted, by default all that the dataset has.

        Raises
        ------
        InvalidInput, MissingData
            If a level is unknown, or the dataset lacks what it needs.
        """
        chosen = known_levels(dataset, grain) if levels is None else levels
        members = {level: membership(dataset, grain, level) for level in chosen}
        parts: dict[str, list[pl.DataFrame]] = {level: [] for level in chosen}
        for number, frame in enumerate(past):
            sampled = frame.filter(pl.col("sampled"))
            for level, series in members.items():
                totals = added_up(sampled, grain, level, series)
                parts[level].append(totals.with_columns(origin=pl.lit(number)))
        return cls(grain, {level: Misses.fit(pl.concat(parts[level])) for level in chosen})

    def totals(
        self, dataset: Dataset, forecasts: pl.DataFrame, level: str, quantiles: Sequence[float]
    ) -> pl.DataFrame:
        """Add forecasts up to a level.

        Parameters
        ----------
        dataset
            What the series belong to.
        forecasts
            Of series: the grain's keys, `date`, `mean`, `q10` and `q90`.
        level
            One of `misses`.
        quantiles
            Levels wanted, above 0 and below 1.

        Returns
        -------
        polars.DataFrame
            The level's columns (none for `all`), `date`, `mean`, the quantiles and `series`
            (how many are added up); sorted.
        """
        if level not in self.misses:
            raise InvalidInput(
                f"totals = {level!r} was not measured; there is {', '.join(self.misses)}.",
                field="totals",
            )
        sums = added_up(forecasts, self.grain, level, membership(dataset, self.grain, level))
        found = self.misses[level].quantiles(sums, quantiles)
        names = [level_name(quantile) for quantile in quantiles]
        return sums.select(
            *columns_of(level),
            "date",
            "mean",
            *(pl.Series(name, found[:, i]) for i, name in enumerate(names)),
            pl.col("series").cast(pl.Int64),
        )

    def save(self, path: Path) -> None:
        """Write JSON."""
        content = {level: asdict(misses) for level, misses in self.misses.items()}
        path.write_text(json.dumps({"grain": str(self.grain), "misses": content}, indent=1))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        content = json.loads(path.read_text())
        misses = {level: Misses(**one) for level, one in content["misses"].items()}
        return cls(Grain.parse(content["grain"]), misses)


def columns_of(level: str) -> list[str]:
    """Name the columns whose values name a level's totals: `location_id` of `location`."""
    return [] if level == ALL else [_WORDS.get(word, word) for word in level.split("+")]


def known_levels(dataset: Dataset, grain: Grain) -> list[str]:
    """Name the levels above the series that the dataset knows."""
    words = {column: word for word, column in _WORDS.items()}
    above = [key for key in ("department", "category") if key not in grain.keys]
    above += [key for key in ("channel", "region") if key not in grain.keys]
    several = len(grain.keys) > 1
    singles = [words.get(key, key) for key in grain.keys if several]
    found = [ALL]
    for level in [*above, *singles, "department+location"]:
        try:
            series = membership(dataset, grain, level)
        except (InvalidInput, MissingData):
            continue
        if 1 < series.select(columns_of(level)).n_unique() < series.height:
            found.append(level)
    return found


def membership(dataset: Dataset, grain: Grain, level: str) -> pl.DataFrame:
    """Say to which total of a level each series belongs: the grain's keys and the level's columns.

    Raises
    ------
    InvalidInput
        If the level is unknown.
    MissingData
        If the dataset lacks what it needs.
    """
    index = all_series(dataset, grain).index
    for column in columns_of(level):
        if column not in (*PRODUCT_KEYS, *LOCATION_KEYS):
            raise InvalidInput(
                f"totals = {level!r} is not a level: name all, department, category, location, "
                "region, or several joined by +, such as department+location.",
                field="totals",
            )
        if column in GROUPS and f"in_{column}" in index.collect_schema().names():
            index = index.rename({f"in_{column}": column})
    index = with_attributes(dataset, index, tuple(columns_of(level)))
    named = list(dict.fromkeys([*grain.keys, *columns_of(level)]))
    found = index.select(*named).collect().to_polars()
    above = [column for column in columns_of(level) if column not in grain.keys]
    return found.with_columns(pl.col(above).fill_null(NOT_NAMED))


def added_up(
    forecasts: pl.DataFrame, grain: Grain, level: str, members: pl.DataFrame
) -> pl.DataFrame:
    """Sum forecasts by total and date: `mean`, `variance` as if independent, `units` if given."""
    columns = columns_of(level)
    extra = [column for column in columns if column not in grain.keys]
    joined = forecasts
    if extra:
        joined = forecasts.join(
            members.select(*grain.keys, *extra), on=grain.keys, how="left", maintain_order="left"
        )
    spread = (pl.col("q90") - pl.col("q10")) / (2 * _DECILE)
    # A count cannot vary less than its mean does, however narrow its deciles are.
    variance = pl.max_horizontal(spread**2, "mean").alias("variance")
    joined = joined.with_columns(variance, series=pl.lit(1.0))
    names = ["mean", "variance", "series", *(["units"] if "units" in forecasts.columns else [])]
    sums = joined.select(*columns, "date").unique().sort(*columns, "date")
    place = joined.select(*columns, "date").join(
        sums.with_row_index("place"), on=[*columns, "date"], how="left", maintain_order="left"
    )
    # Summed in the order of rows, which engines do not promise: the same sums every time.
    at = place.get_column("place").to_numpy()
    found = {
        name: np.bincount(at, weights=joined.get_column(name).to_numpy(), minlength=sums.height)
        for name in names
    }
    return sums.with_columns(pl.Series(name, values) for name, values in found.items())


def _expected(mean: Floats, variance: Floats, common: float) -> Floats:
    found: Floats = np.sqrt(variance + (common * mean) ** 2)
    return found


def _measure(past: pl.DataFrame) -> Misses:
    mean, variance, units = (past.get_column(c).to_numpy() for c in ("mean", "variance", "units"))
    errors = units - mean
    common = _common(errors, mean, variance)
    scaled = errors / _expected(mean, variance, common)
    order = np.argsort(mean, kind="stable")
    bins = max(min(_BINS, len(order) // _BIN_ERRORS), 1)
    parts = np.array_split(order, bins)
    deciles = np.array([np.quantile(scaled[part], (0.1, 0.5, 0.9)) for part in parts])
    sizes = [max(float(np.exp(np.log(mean[part]).mean())), 1e-9) for part in parts]
    low, middle, high = (tuple(float(v) for v in column) for column in deciles.T)
    return Misses(common, tuple(sizes), low, middle, high, 0.0, len(errors))


def _common(errors: Floats, mean: Floats, variance: Floats) -> float:
    """Find the shared relative error with which four of five errors are within their deciles."""
    low, high = 0.0, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        inside = np.abs(errors) <= _DECILE * _expected(mean, variance, middle)
        low, high = (middle, high) if inside.mean() < 0.8 else (low, middle)
    return high
