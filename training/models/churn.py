"""Churn: the chance that a customer buys nothing in the next `horizon_days`, and why.

Learns from customers as they were at earlier cuts (`stacked_cuts`); answers for every customer
with a purchase. Retraining publishes it, `serving.answers.churn` answers from what it published.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.customers import COMEBACK_DAYS
from features.dataset import Dataset
from features.segments import FEW_VISITS, GROWING, LOYAL, NEW, WON_BACK, Rfm, stage
from training.contract import Needs, options_of
from training.models import known_customers, profile
from training.models.bgnbd import BgNbd, purchases
from training.models.boosting import Booster
from training.models.reasons import explained, reason_columns, strongest
from training.models.stacked_cuts import (
    customer_features,
    cut_days,
    days_to_next,
    features_at_cut,
)

Floats = NDArray[np.float64]

# With fewer examples of newcomers than this, everyone stands for them.
MIN_NEWCOMERS = 30
REASONS = 3
NEWCOMER_REASON = "no purchase known: the rate of customers with fewer than 3 visits"
# The coarser names of a customer's stage: who comes as usual is regular, growing or not.
SEGMENTS = dict.fromkeys((GROWING, LOYAL, WON_BACK), "regular")
# Which weekday a customer prefers says nothing about four weeks of silence; who came back from
# one lately is for the stage to name.
UNUSED = ("weekday", f"gap_max_{COMEBACK_DAYS}")


@dataclass
class ChurnModel:
    """LightGBM on stacked cuts, with BG/NBD's view of each customer among its features.

    Log loss on active customers (three origins of the bundled year) chose what stands here:
    Platt scaling on the newest cut was worse than none; monotone constraints, a blend with a
    logistic regression and averages over seeds were no better.

    Attributes
    ----------
    horizon_days
        A customer who buys nothing in this many days has churned.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cuts, cut_step_days
        How many past instants are learnt from, and the days between them.
    rounds
        Trees at most; how many is decided on the newest cut.
    learning_rate, num_leaves, min_data_in_leaf, feature_fraction, bagging_fraction, lambda_l2
        As LightGBM has them.
    """

    name: ClassVar[str] = "churn"
    needs: ClassVar[Needs] = Needs(
        required={"orders": ("customer_id", "day")},
        optional={
            "products": "how many categories a customer buys from",
            "touchpoints": "offers sent to and redeemed by a customer",
        },
    )

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    cuts: int = 10
    cut_step_days: int = 14
    rounds: int = 300
    learning_rate: float = 0.05
    num_leaves: int = 12
    min_data_in_leaf: int = 60
    feature_fraction: float = 0.4
    bagging_fraction: float = 0.7
    lambda_l2: float = 5.0
    booster_: Booster = field(init=False, repr=False)
    process_: BgNbd = field(init=False, repr=False)
    newcomer_rate_: float = field(init=False, repr=False)
    rfm_: Rfm = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the exact frame that the fitted model reads: one row a customer at `as_of`."""
        return self._with_process(customer_features(dataset, as_of))

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the cuts whose windows had ended by `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        days = cut_days(
            dataset,
            as_of,
            latest=self.horizon_days,
            step=self.cut_step_days,
            count=self.cuts,
            history=self.horizon_days,
        )
        population = customer_features(dataset, as_of)
        self.process_ = BgNbd.fit(*purchases(population))
        self.rfm_ = Rfm.fit(nw.from_native(population).lazy())
        frames = [self._with_process(features_at_cut(dataset, as_of, day)) for day in days]
        labels = [
            self._churned(dataset, as_of, day, frame)
            for day, frame in zip(days, frames, strict=True)
        ]
        names = [
            name
            for name in frames[0].columns
            if name != "customer_id" and not name.startswith(UNUSED)
        ]
        inputs = [frame.select(names) for frame in frames]
        rounds = self._best_rounds(days, inputs, labels)
        together, label = pl.concat(inputs), np.concatenate(labels)
        self.booster_ = Booster.fit(
            together, label, self._params(), rounds, threads=self.threads, seed=self.seed
        )
        few = (together.get_column("visits") < FEW_VISITS).to_numpy()
        known = label[few] if few.sum() >= MIN_NEWCOMERS else label
        self.newcomer_rate_ = float(known.mean())
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, churn_probability, horizon_days, segment, reasons (up to three, strongest
            first), contributions (of each reason, in log-odds of churn), stage, rfm_segment and
            rfm_score (see `features.segments`). Customers without a purchase get the newcomers'
            rate.
        """
        features = self.features(dataset, as_of)
        if ids is None:
            return self.predict_from(features)
        wanted = ids.select("customer_id")
        known = self.predict_from(features.join(wanted.unique(), on="customer_id", how="semi"))
        new = wanted.join(known, on="customer_id", how="anti").unique(maintain_order=True)
        known = pl.concat([known, self.newcomers(new.get_column("customer_id"))])
        return wanted.join(known, on="customer_id", how="left", maintain_order="left")

    def newcomers(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Answer for customers of whom no purchase is known."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        return pl.DataFrame(ids).select(
            "customer_id",
            pl.lit(self.newcomer_rate_).alias("churn_probability"),
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            pl.lit(NEW).alias("segment"),
            *reason_columns([[(NEWCOMER_REASON, 0.0)]] * len(ids)),
            pl.lit(NEW).alias("stage"),
            pl.lit(None, dtype=pl.String).alias("rfm_segment"),
            pl.lit(None, dtype=pl.Int64).alias("rfm_score"),
        )

    def predict_from(self, features: pl.DataFrame) -> pl.DataFrame:
        """Answer from rows of `features`; batch and serving both go through here."""
        parts = self.booster_.contributions(features)
        # Contributions and base add up to the raw score: one pass gives both it and its reasons.
        raw = parts.to_numpy(order="c").sum(axis=1)
        reasons = strongest(parts, features, REASONS)
        named = (
            self.rfm_.name(nw.from_native(features).lazy())
            .select(stage(self.horizon_days).alias("stage"), "rfm_segment", "rfm_score")
            .collect()
            .to_polars()
        )
        stages = named.get_column("stage")
        return features.select(
            "customer_id",
            pl.Series("churn_probability", 1 / (1 + np.exp(-raw)), dtype=pl.Float64),
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            stages.replace(SEGMENTS).alias("segment"),
            *reason_columns(reasons),
            stages,
            named.get_column("rfm_segment"),
            named.get_column("rfm_score"),
        )

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return each customer's reasons; `contribution` in log-odds of churn."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explained(self.booster_.contributions(features), features, REASONS)

    def save(self, folder: Path) -> None:
        """Write the native booster and `churn.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster_.save(folder / "booster")
        content = {
            "options": options_of(self),
            "process": asdict(self.process_),
            "newcomer_rate": self.newcomer_rate_,
            "rfm": asdict(self.rfm_),
        }
        (folder / "churn.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        content = json.loads((folder / "churn.json").read_text())
        model = cls(**content["options"])
        model.threads = threads or model.threads
        model.booster_ = Booster.load(folder / "booster", model.threads)
        model.process_ = BgNbd(**content["process"])
        model.newcomer_rate_ = content["newcomer_rate"]
        model.rfm_ = Rfm.from_edges(content["rfm"])
        return model

    def publish(self, dataset: Dataset, as_of: datetime, folder: Path) -> None:
        """Write what `known_customers` does, and everyone's profile."""
        known_customers.publish(self, dataset, as_of, folder)
        profile.publish(dataset, as_of, folder)

    def _with_process(self, features: pl.DataFrame) -> pl.DataFrame:
        known = purchases(features)
        return features.with_columns(
            pl.Series("silence", self.process_.silence(*known, self.horizon_days)),
            pl.Series("alive", self.process_.alive(*known)),
        )

    def _churned(self, dataset: Dataset, as_of: datetime, day: int, frame: pl.DataFrame) -> Floats:
        following = days_to_next(dataset, as_of, day, frame.get_column("customer_id"))
        churned = following.fill_null(self.horizon_days) >= self.horizon_days
        return np.asarray(churned.to_numpy(), dtype=np.float64)

    def _best_rounds(
        self, days: list[int], inputs: list[pl.DataFrame], labels: list[Floats]
    ) -> int:
        """Choose the number of trees on the newest cut, from cuts whose windows end before it."""
        earlier = [k for k, day in enumerate(days) if day + self.horizon_days <= days[0]]
        if not earlier:
            return max(1, self.rounds // 3)
        trial = Booster.fit(
            pl.concat(inputs[k] for k in earlier),
            np.concatenate([labels[k] for k in earlier]),
            self._params(),
            self.rounds,
            valid=(inputs[0], labels[0]),
            early_stopping_rounds=50,
            threads=self.threads,
            seed=self.seed,
        )
        return max(1, trial.native.best_iteration)

    def _params(self) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
        }
