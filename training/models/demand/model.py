"""Demand: a dataset and an instant in, the mean and quantiles of each series and period out.

One global model for all series: direct gradient boosting over stacked past origins, with the
log of the recent level as offset. It learns the factor by which a period differs from it.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl

from features.calendar import to_day
from features.dataset import Dataset
from features.demand.builder import demand
from features.demand.cold_start import Analogues
from features.demand.grain import Grain
from features.demand.series import begun_series
from features.typing import Floats, Ints
from training.contract import DEFAULT_COUNTRY, Needs, model_with_options, options_of
from training.estimators.boosting import Booster, BoostingOptions
from training.models.demand.assumptions import COLUMNS as ASSUMPTIONS
from training.models.demand.assumptions import assumptions
from training.models.demand.boosting import GlobalBoosting, out_of_fold_ratio
from training.models.demand.common_factor import common_factor, credibility_weight, level_bias
from training.models.demand.contributions import REASONS, sum_by_reason, to_units, with_closures
from training.models.demand.distribution import CalibratedDistribution
from training.models.demand.ensemble import EnsembleWeights
from training.models.demand.inputs import expected_units, with_usual_plan
from training.models.demand.price_response import price_response
from training.models.demand.quantiles import (
    QUANTILES,
    check_levels,
    level_name,
    negative_binomial_quantiles,
)
from training.models.demand.training_rows import (
    ROWS,
    Sample,
    sample_mask,
    training_rows,
    with_hidden_plans,
)

# A series with at least this many periods of sales in the last year rests on its own past.
OWN_HISTORY_PERIODS = 8
# Series whose features are computed together; it bounds memory.
_BATCH_SERIES = 20_000
# The most out-of-fold rows for the bias and the distribution: more change neither.
_MAX_CALIBRATION_ROWS = 120_000
_METADATA = "demand.json"


def _booster_path(folder: Path, member: int) -> Path:
    return folder / f"member{member}"


TREES = BoostingOptions(
    learning_rate=0.13,
    num_leaves=31,
    min_data_in_leaf=200,
    feature_fraction=0.6,
    lambda_l2=1.0,
)


@dataclass
class DemandModel:
    """Forecasts the mean and any quantile of units by series and period.

    Attributes
    ----------
    grain, horizon_days
        What a series and a period are, such as `product:week`, and how far ahead to forecast.
    seed, threads
        The same seed gives the same model; threads of the boosting.
    country
        ISO code of the country whose public holidays count.
    trees, rounds
        How trees are grown, and their number. Short records use fewer rounds, records of smooth
        series up to three times as many (`boosting`).
    members
        Boosters that are averaged; short records use more. Each leaves out one fold of the
        periods, on which errors are measured.
    rows
        The most training rows; by default `ROWS` of the grain's period.
    bias_correction
        Share, 0 to 1, of the log of the last eight weeks' out-of-fold bias of all series that
        is added to forecasts; less for short records.
    """

    name: ClassVar[str] = "demand"
    needs: ClassVar[Needs] = Needs(
        required={},
        optional={
            "promotions": "planned promotions and the effect of past ones",
            "prices": "planned prices",
            "products": "departments and categories, and the trends of both",
        },
        one_of=("orders", "sales"),
    )

    grain: str = "product:week"
    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    country: str = DEFAULT_COUNTRY
    trees: BoostingOptions = TREES
    rounds: int = 50
    members: int = 4
    rows: int | None = None
    bias_correction: float = 0.35

    boosters_: tuple[Booster, ...] = field(init=False, repr=False)
    level_bias_: float = field(init=False, repr=False)
    weights_: EnsembleWeights = field(init=False, repr=False)
    distribution_: CalibratedDistribution = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on past origins and on periods that ended by `as_of`.

        Raises
        ------
        InvalidInput
            If the grain is unknown or the horizon is no multiple of its period.
        MissingData
            If the records lack a key of the grain or are too short.
        """
        grain = Grain.parse(self.grain)
        grain.periods(self.horizon_days)
        sample = Sample(self.rows or ROWS[grain.freq], self.seed, self.country)
        rows = training_rows(dataset, grain, to_day(as_of), self.horizon_days, sample)
        expected, weight = expected_units(rows), credibility_weight(rows)
        factor = common_factor(rows, expected, weight)
        calibrated = sample_mask(rows.height, _MAX_CALIBRATION_ROWS, self.seed)
        boosting = GlobalBoosting(
            grain, self.trees, self.rounds, self.members, self.seed, self.threads
        )
        self.boosters_, fold = boosting.fit(rows, expected, factor, math.sqrt(weight))
        rows = with_hidden_plans(rows, self.seed, 0).filter(calibrated)
        expected, factor, fold = expected[calibrated], factor[calibrated], fold[calibrated]
        out_of_fold = expected * out_of_fold_ratio(self.boosters_, rows, fold)
        # Out-of-fold forecasts exclude the common factor; its recent part is in the bias.
        bias = level_bias(rows, out_of_fold)
        self.level_bias_ = bias ** (self.bias_correction * weight)
        forecast = out_of_fold * factor
        self.weights_, forecast = self._fit_weights(rows, expected * factor, fold, forecast)
        self.distribution_ = CalibratedDistribution.fit(
            rows.select(self.boosters_[0].columns),
            forecast,
            rows.get_column("units").to_numpy(),
            seed=self.seed,
            threads=self.threads,
        )
        return self

    def _fit_weights(
        self, rows: pl.DataFrame, offset: Floats, fold: Ints, forecast: Floats
    ) -> tuple[EnsembleWeights, Floats]:
        """Fit the weights on out-of-fold forecasts; return them and the ensemble's forecasts."""
        days, unplanned = Grain.parse(self.grain).days, with_usual_plan(rows)
        usual = forecast
        if unplanned is not rows:
            usual = offset * out_of_fold_ratio(self.boosters_, unplanned, fold)
        weights = EnsembleWeights.fit(rows, usual, forecast, days)
        return weights, forecast * weights.factor(rows, usual, days)

    def predict(
        self,
        dataset: Dataset,
        as_of: datetime,
        ids: pl.DataFrame | None = None,
        *,
        quantiles: Sequence[float] = QUANTILES,
    ) -> pl.DataFrame:
        """Forecast each period of the horizon.

        Rows of the tables `promotions` and `prices` for days from `as_of` on are the plan. After
        the last booked day promotions are assumed to be as usual (`features.demand.plan_ends`).

        Parameters
        ----------
        dataset, as_of
            The records, and the instant up to which they are known.
        ids
            Series in the grain's key columns, by default all with sales before `as_of`. Those
            without sales before `as_of` are forecast by analogues; columns `department`
            and `category` describe products outside the catalogue. Unknown series get no rows.
        quantiles
            Levels above 0 and below 1.

        Returns
        -------
        polars.DataFrame
            The grain's keys, `date` (first day of the period), `mean` and the quantiles, such
            as `q10`, in units, `plan_known_until` (the last day on which promotions are known;
            null if there never were any) and `assumes` (what the forecast assumes beyond the plan,
            separated by semicolons); sorted by keys and date.

        Raises
        ------
        InvalidInput
            If a level is not between 0 and 1.
        """
        grain = Grain.parse(self.grain)
        levels = tuple(sorted(set(quantiles)))
        check_levels(levels)
        keys = begun_series(dataset, grain, as_of)
        ids = keys if ids is None else ids
        columns = [*grain.keys, "date", "mean", *map(level_name, levels), *ASSUMPTIONS]
        parts = [self.forecast(frame, levels) for frame in self.frames(dataset, as_of, ids)]
        new = ids.unique(grain.keys, maintain_order=True).join(keys, on=grain.keys, how="anti")
        if not new.is_empty():
            parts.append(self.predict_cold_start(dataset, as_of, new, levels))
        return pl.concat(part.select(columns) for part in parts).sort(*grain.keys, "date")

    def predict_cold_start(
        self,
        dataset: Dataset,
        as_of: datetime,
        ids: pl.DataFrame,
        levels: Sequence[float] = QUANTILES,
    ) -> pl.DataFrame:
        """Forecast series without sales by analogues; columns as of `forecast`.

        See `features.demand.cold_start`. Unknown series get no rows.
        """
        grain = Grain.parse(self.grain)
        steps = grain.periods(self.horizon_days)
        analogues = Analogues.fit(dataset, grain, as_of, steps).forecast(ids)
        mean, ratio = analogues.mean.ravel(), analogues.ratio.ravel()
        quantiles = negative_binomial_quantiles(mean, ratio, levels)
        days = pl.DataFrame({"day": grain.shift(to_day(as_of), np.arange(steps))})
        return (
            ids[analogues.rows]
            .join(days.cast(pl.Int32), how="cross")
            .select(
                *grain.keys,
                _date(),
                pl.Series("mean", mean),
                *(pl.Series(level_name(q), quantiles[:, i]) for i, q in enumerate(levels)),
                *self._assumptions(pl.lit(None, dtype=pl.Int32), pl.lit(0)),
                pl.lit("look_alikes").alias("basis"),
            )
        )

    def frames(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame
    ) -> Iterator[pl.DataFrame]:
        """Compute the features of series in batches, sorted by key; see `features`."""
        grain = Grain.parse(self.grain)
        ordered = ids.select(grain.keys).unique().sort(grain.keys)
        for start in range(0, max(ordered.height, 1), _BATCH_SERIES):
            yield self.features(dataset, as_of, ordered.slice(start, _BATCH_SERIES))

    def features(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Compute the features that `forecast` reads.

        Features of promotions and prices that the dataset no longer has are missing.
        """
        grain = Grain.parse(self.grain)
        lazy = demand(dataset, grain, as_of, self.horizon_days, ids, country=self.country)
        frame = lazy.collect().to_polars()
        missing = [c for c in self.boosters_[0].columns if c not in frame.columns]
        plan_columns = [c for c in missing if c.startswith(("promotion_", "price_"))]
        return frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(c) for c in plan_columns)

    def forecast(self, frame: pl.DataFrame, levels: Sequence[float] = QUANTILES) -> pl.DataFrame:
        """Forecast from features: columns of `predict`, and `basis`."""
        grain = Grain.parse(self.grain)
        mean = self._mean(frame)
        inputs = frame.select(self.boosters_[0].columns)
        quantiles = self.distribution_.predict(inputs, mean, levels)
        opened = frame.get_column("open_share").to_numpy()
        mean, quantiles = mean * opened, quantiles * opened[:, None]
        own_history = pl.col("sold_periods") >= OWN_HISTORY_PERIODS
        return frame.select(
            *grain.keys,
            _date(),
            pl.Series("mean", mean),
            *(pl.Series(level_name(q), quantiles[:, i]) for i, q in enumerate(levels)),
            *self._assumptions(pl.col("plan_until"), pl.col("closed_by")),
            pl.when(own_history)
            .then(pl.lit("own_history"))
            .otherwise(pl.lit("look_alikes"))
            .alias("basis"),
        )

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Split each forecast by reason.

        Returns
        -------
        polars.DataFrame
            The grain's keys, `date`, `reason` (level, trend, season, holiday, promotion,
            price, other), `contribution` (a period's sum is the log of the mean) and `units`
            (a period's sum is the mean).
        """
        return self.explain_features(self.features(dataset, as_of, ids))

    def explain_features(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Split the forecasts of rows of features by reason; columns as of `explain`."""
        grain = Grain.parse(self.grain)
        parts = [booster.contributions(frame) for booster in self.boosters_]
        level, share = (frame.get_column(c).to_numpy() for c in ("level_now", "weekday_factor"))
        sums = sum_by_reason(parts, level, share, self.level_bias_, self._mean(frame))
        response = np.log(price_response(frame, self.boosters_[0].columns))
        sums["price"], sums["other"] = sums["price"] + response, sums["other"] - response
        sums = with_closures(sums, frame.get_column("open_share").to_numpy())
        units = to_units(sums)
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
            booster.save(_booster_path(folder, member))
        self.distribution_.save(folder)
        metadata = {
            "options": options_of(self),
            "level_bias": self.level_bias_,
            "members": len(self.boosters_),
            "ensemble": self.weights_.to_json(),
        }
        (folder / _METADATA).write_text(json.dumps(metadata, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        metadata = json.loads((folder / _METADATA).read_text())
        model = model_with_options(cls, metadata["options"])
        model.level_bias_ = metadata["level_bias"]
        model.weights_ = EnsembleWeights.from_json(metadata["ensemble"])
        model.boosters_ = tuple(
            Booster.load(_booster_path(folder, member), model.threads)
            for member in range(metadata["members"])
        )
        model.distribution_ = CalibratedDistribution.load(folder, model.threads)
        return model

    def _assumptions(self, plan_until: pl.Expr, closed: pl.Expr) -> list[pl.Expr]:
        end = pl.col("day").max() + Grain.parse(self.grain).days
        return assumptions(plan_until, end, closed, self.boosters_[0].columns)

    def _mean(self, frame: pl.DataFrame) -> Floats:
        raw = [booster.predict(frame, raw_score=True) for booster in self.boosters_]
        mean: Floats = expected_units(frame) * self.level_bias_ * np.mean(np.exp(raw), axis=0)
        if not self.weights_.trivial:
            # One booster tells what the plan multiplies a forecast by: others hardly change it.
            unplanned, usual = with_usual_plan(frame), mean
            if unplanned is not frame:
                usual = mean * np.exp(self.boosters_[0].predict(unplanned, raw_score=True) - raw[0])
            mean *= self.weights_.factor(frame, usual, Grain.parse(self.grain).days)
        factors: Floats = mean * price_response(frame, self.boosters_[0].columns)
        return factors


def _date() -> pl.Expr:
    return pl.col("day").cast(pl.Date).alias("date")
