"""Demand: features of past origins in, one global model of what will sell out.

Direct boosting over stacked origins with a log-level offset: the model learns by which factor
a period differs from the series' level. Used by the demand task, scoring and publishing.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.cold_start import Analogues
from features.demand.grain import Grain
from features.demand.series import all_series, selling_series
from features.errors import InvalidInput
from features.typing import Floats
from training.contract import Needs, options_of
from training.estimators.boosting import Booster
from training.models.demand.common_factor import drift, reliance, together
from training.models.demand.contributions import REASONS, in_units, reasons
from training.models.demand.distribution import QUANTILES, Quantiles, counted, level_name
from training.models.demand.inputs import inputs, unread, usual_units
from training.models.demand.monotone_constraints import signs
from training.models.demand.training_rows import ROWS, Sample, drawn, training_rows, turns

# Series are described and predicted in parts of this size: it bounds memory.
_PART = 20_000
# How far forecasts miss is told by so many rows at most: more would tell the same.
_JUDGED_ROWS = 120_000
# A series with so many periods of sales in the last year is forecast from its own past.
OWN_HISTORY_PERIODS = 8


@dataclass
class DemandModel:
    """What will sell: mean and quantiles by series and period.

    Attributes
    ----------
    grain, horizon_days
        The question: text such as `product:week`, and how far ahead, in days.
    seed, threads
        The same seed gives the same model; threads of the boosting.
    country
        ISO code of the country whose public holidays count.
    learning_rate, num_leaves, min_data_in_leaf, rounds, feature_fraction
        Of the boosting.
    members
        Boosters that are averaged, more of them of short records. Each leaves out a part of
        the time, whose errors then tell how far forecasts miss.
    rows
        The most training rows; by default `ROWS` of the grain's period.
    catch_up
        How much of a drift of all series, which the members did not expect in the last eight
        weeks, is taken to go on: 0 is none of it, 1 all; less of short records.
    """

    name: ClassVar[str] = "demand"
    needs: ClassVar[Needs] = Needs(
        required={},
        optional={
            "promotions": "planned promotions and what they did before",
            "prices": "planned prices",
            "products": "departments and categories, and the trends of both",
        },
        one_of=("orders", "sales"),
    )

    grain: str = "product:week"
    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    country: str = "US"
    learning_rate: float = 0.13
    num_leaves: int = 31
    min_data_in_leaf: int = 200
    rounds: int = 50
    feature_fraction: float = 0.4
    members: int = 2
    rows: int | None = None
    catch_up: float = 0.35

    boosters_: tuple[Booster, ...] = field(init=False, repr=False)
    drift_: float = field(init=False, repr=False)
    quantiles_: Quantiles = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from origins before `as_of`, and from periods that had ended by then.

        Raises
        ------
        InvalidInput
            If the grain is unknown or the horizon does not fit it.
        MissingData
            If the records lack a key of the grain or are too few.
        """
        grain = Grain.parse(self.grain)
        grain.periods(self.horizon_days)
        sample = Sample(self.rows or ROWS[grain.freq], self.seed, self.country)
        rows = training_rows(dataset, grain, to_day(as_of), self.horizon_days, sample)
        features = rows.select(inputs(rows))
        units, usual = rows.get_column("units").to_numpy(), usual_units(rows)
        believed = reliance(rows)
        moved = together(rows, usual, believed)
        offset = usual * moved
        # Of few weeks the plainest is learned alone, which comes first in boosting. More members,
        # each of which leaves out fewer of those weeks, then cost no more.
        strength = math.sqrt(believed)
        rounds, members = math.ceil(self.rounds * strength), self.members
        if members > 1:
            members = round(members / strength)
        part = turns(rows, members, grain.days)
        judged = drawn(rows.height, _JUDGED_ROWS, self.seed)
        boosters, unseen = [], np.zeros(rows.height)
        for member in range(members):
            kept = part != member if members > 1 else np.ones(rows.height, dtype=bool)
            read = features.drop(unread(grain, member), strict=False)
            booster = self._boost(read.filter(kept), units[kept], offset[kept], rounds, member)
            boosters.append(booster)
            left = judged & (part == member)
            unseen[left] = usual[left] * np.exp(
                booster.predict(features.filter(left), raw_score=True)
            )
        self.boosters_ = tuple(boosters)
        self.drift_ = drift(rows.filter(judged), unseen[judged]) ** (self.catch_up * believed)
        self.quantiles_ = Quantiles.fit(
            features.filter(judged),
            (unseen * moved)[judged],
            units[judged],
            seed=self.seed,
            threads=self.threads,
        )
        return self

    def predict(
        self,
        dataset: Dataset,
        as_of: datetime,
        ids: pl.DataFrame | None = None,
        *,
        quantiles: Sequence[float] = QUANTILES,
    ) -> pl.DataFrame:
        """Forecast each period of the horizon.

        Another plan than the booked one is a dataset with other tables `promotions` or `prices`:
        whatever stands there for days from `as_of` on is read as the plan.

        Parameters
        ----------
        dataset, as_of
            What is known; the plan of promotions and prices counts as far as it reaches.
        ids
            Series in the grain's key columns, by default all that sold in the last 26 weeks.
            Those that have not sold before `as_of` are forecast by look-alikes; columns
            `department` and `category` describe products that are in no catalogue. Those of which
            nothing is known get no rows.
        quantiles
            Levels wanted, above 0 and below 1.

        Returns
        -------
        polars.DataFrame
            The grain's keys, `date` (first day of the period), `mean` and the quantiles, such
            as `q10`, in units; sorted.

        Raises
        ------
        InvalidInput
            If a level is not between 0 and 1.
        """
        grain = Grain.parse(self.grain)
        levels = tuple(sorted(set(quantiles)))
        wrong = [level for level in levels if not 0 < level < 1]
        if wrong:
            raise InvalidInput(
                f"quantile = {wrong[0]} is no level: give numbers above 0 and below 1, such as "
                "0.9 for what demand stays below nine times of ten.",
                field="quantiles",
            )
        if ids is None:
            ids = selling_series(dataset, grain, as_of)
        keep = [*grain.keys, "date", "mean", *map(level_name, levels)]
        parts = [self.forecast(frame, levels) for frame in self.frames(dataset, as_of, ids)]
        begun = all_series(dataset, grain).index.filter(nw.col("first_day") < to_day(as_of))
        keys = begun.select(*grain.keys).collect().to_polars()
        new = ids.unique(grain.keys, maintain_order=True).join(keys, on=grain.keys, how="anti")
        if not new.is_empty():
            parts.append(self.launched(dataset, as_of, new, levels))
        return pl.concat(part.select(keep) for part in parts).sort(*grain.keys, "date")

    def launched(
        self,
        dataset: Dataset,
        as_of: datetime,
        ids: pl.DataFrame,
        levels: Sequence[float] = QUANTILES,
    ) -> pl.DataFrame:
        """Forecast series that have not sold yet, by look-alikes; columns as of `forecast`.

        See `features.demand.cold_start`. Those of which nothing is known get no rows.
        """
        grain = Grain.parse(self.grain)
        steps = grain.periods(self.horizon_days)
        alike = Analogues.fit(dataset, grain, as_of, steps).forecast(ids)
        mean, ratio = alike.mean.ravel(), alike.ratio.ravel()
        quantiles = counted(mean, ratio, levels)
        days = pl.DataFrame({"day": [to_day(as_of) + grain.days * k for k in range(steps)]})
        return (
            ids[alike.rows]
            .join(days.cast(pl.Int32), how="cross")
            .select(
                *grain.keys,
                _date(),
                pl.Series("mean", mean),
                *(pl.Series(level_name(q), quantiles[:, i]) for i, q in enumerate(levels)),
                pl.lit("look_alikes").alias("basis"),
            )
        )

    def frames(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame
    ) -> Iterator[pl.DataFrame]:
        """Compute the features of series part by part, sorted; see `features`."""
        grain = Grain.parse(self.grain)
        ordered = ids.select(grain.keys).unique().sort(grain.keys)
        for start in range(0, max(ordered.height, 1), _PART):
            yield self.features(dataset, as_of, ordered.slice(start, _PART))

    def features(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Compute what `forecast` reads: `demand`, whatever has become of the plan's kinds."""
        grain = Grain.parse(self.grain)
        frame = demand(dataset, grain, as_of, self.horizon_days, ids, country=self.country)
        found = frame.collect().to_polars()
        # A kind of promotion, or the price list, may be gone since the model was fitted.
        gone = [c for c in self.boosters_[0].columns if c not in found.columns]
        lost = [c for c in gone if c.startswith(("promotion_", "price_"))]
        return found.with_columns(
            pl.lit(0.0 if c.startswith("promotion_") else None, dtype=pl.Float64).alias(c)
            for c in lost
        )

    def forecast(self, frame: pl.DataFrame, levels: Sequence[float] = QUANTILES) -> pl.DataFrame:
        """Forecast from features: the grain's keys, `date`, `mean`, quantiles and `basis`."""
        grain = Grain.parse(self.grain)
        mean = self._mean(frame)
        quantiles = self.quantiles_.predict(frame.select(self.boosters_[0].columns), mean, levels)
        own = pl.col("sold_periods") >= OWN_HISTORY_PERIODS
        return frame.select(
            *grain.keys,
            _date(),
            pl.Series("mean", mean),
            *(pl.Series(level_name(q), quantiles[:, i]) for i, q in enumerate(levels)),
            pl.when(own)
            .then(pl.lit("own_history"))
            .otherwise(pl.lit("look_alikes"))
            .alias("basis"),
        )

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Say why: what multiplies a series' level, by kind of reason.

        Returns
        -------
        polars.DataFrame
            The grain's keys, `date`, `reason` (level, trend, season, holiday, promotion,
            price, other), `contribution` (of a period they add up to the log of the mean) and
            `units` (they add up to the mean).
        """
        return self.why(self.features(dataset, as_of, ids))

    def why(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Say why, from features; see `explain`."""
        grain = Grain.parse(self.grain)
        parts = [booster.contributions(frame) for booster in self.boosters_]
        level, habit = (frame.get_column(c).to_numpy() for c in ("level_now", "habit_now"))
        sums = reasons(parts, level, habit, self.drift_, self._mean(frame))
        units = in_units(sums)
        keys = frame.select(*grain.keys, _date())
        return pl.concat(
            keys.with_columns(
                pl.lit(reason).alias("reason"),
                pl.Series("contribution", sums[reason]),
                pl.Series("units", units[reason]),
            )
            for reason in REASONS
        ).sort(*grain.keys, "date", "reason")

    def save(self, folder: Path) -> None:
        """Write LightGBM's native text and JSON."""
        for member, booster in enumerate(self.boosters_):
            booster.save(folder / f"member{member}")
        self.quantiles_.save(folder)
        about = {
            "options": options_of(self),
            "drift": self.drift_,
            "members": len(self.boosters_),
        }
        (folder / "demand.json").write_text(json.dumps(about, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        about = json.loads((folder / "demand.json").read_text())
        model = cls(**about["options"])
        model.drift_ = about["drift"]
        model.boosters_ = tuple(
            Booster.load(folder / f"member{member}", model.threads)
            for member in range(about.get("members", model.members))
        )
        model.quantiles_ = Quantiles.load(folder, model.threads)
        return model

    def _mean(self, frame: pl.DataFrame) -> Floats:
        usual = usual_units(frame) * self.drift_
        raw = [booster.predict(frame, raw_score=True) for booster in self.boosters_]
        found: Floats = usual * np.mean(np.exp(raw), axis=0)
        return found

    def _boost(
        self, features: pl.DataFrame, units: Floats, usual: Floats, rounds: int, member: int
    ) -> Booster:
        constraints = signs(features, units, usual)
        params = {
            "objective": "tweedie",
            "tweedie_variance_power": 1.2,
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "lambda_l2": 1.0,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "max_bin": 63,
            # Bins need fewer rows than trees.
            "bin_construct_sample_cnt": 50_000,
            "monotone_constraints": [constraints.get(name, 0) for name in features.columns],
        }
        return Booster.fit(
            features,
            units,
            params,
            rounds,
            categorical=[name for name in features.columns if name.startswith("group_")],
            init_score=np.log(usual),
            threads=self.threads,
            seed=self.seed + member,
        )


def _date() -> pl.Expr:
    return pl.col("day").cast(pl.Date).alias("date")
