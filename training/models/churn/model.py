"""Churn: the chance that a customer buys nothing in the next `horizon_days`, and why.

Learns from customers as they were at earlier cuts (`stacked_cuts`); answers for every customer
with a purchase. Retraining publishes it, `serving.customers.churn` answers from what it published.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl

from features.customers.segments import FEW_VISITS, GROWING, LOYAL, NEW, WON_BACK, Rfm, stage
from features.dataset import Dataset
from training.contract import Needs, model_with_options, options_of
from training.customers import published as known_customers
from training.customers.cutoffs import customer_features
from training.customers.explanations import explanation_columns, explanation_rows, top_explanations
from training.estimators.boosting import BoostingOptions
from training.models.churn.ensemble import TREES, ChurnEnsemble, EnsembleOptions
from training.models.churn.ensemble_training import learn

# With fewer examples of newcomers than this, everyone stands for them.
MIN_NEWCOMERS = 30
REASONS = 3
NEWCOMER_REASON = "no purchase known: the rate of customers with fewer than 3 visits"
# The coarser names of a customer's stage: who comes as usual is regular, growing or not.
SEGMENTS = dict.fromkeys((GROWING, LOYAL, WON_BACK), "regular")


@dataclass
class ChurnModel:
    """Trees, a logit and MBG/NBD on stacked cuts, weighed by what was best on the newest.

    Each rises with silence and falls with visits (`directed`), so the answer does for certain;
    trees also read the customer's routine, in any direction (`routines`). Whether
    answers are calibrated on the newest cut, on the same season a year before or not at all is
    tried (`season`).

    Attributes
    ----------
    horizon_days
        A customer who buys nothing in this many days has churned.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cuts, cut_step_days
        How many past instants are learnt from, and the days between them.
    members
        Pairs of forests that are averaged, each of another seed: one has learnt the horizon, one
        half of it.
    rounds
        Number of trees.
    trees
        How they are grown.
    """

    name: ClassVar[str] = "churn"
    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    cuts: int = 12
    cut_step_days: int = 14
    members: int = 2
    rounds: int = 200
    trees: BoostingOptions = TREES
    stack_: ChurnEnsemble = field(init=False, repr=False)
    newcomer_rate_: float = field(init=False, repr=False)
    rfm_: Rfm = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the exact frame that the fitted model reads: one row a customer at `as_of`."""
        return customer_features(dataset, as_of)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the cuts whose windows had ended by `as_of`.

        Where records are shorter than two horizons there are none, and MBG/NBD answers alone.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        self.stack_, cuts = learn(
            dataset,
            as_of,
            self.horizon_days,
            self._ensemble_options(),
            cuts=self.cuts,
            step_days=self.cut_step_days,
        )
        features = customer_features(dataset, as_of)
        self.rfm_ = Rfm.fit(nw.from_native(features).lazy())
        away = [cut.churned(self.horizon_days) for cut in cuts] or [self.stack_.chance(features)]
        visits = pl.concat([cut.features["visits"] for cut in cuts] or [features["visits"]])
        everyone, few = np.concatenate(away), (visits < FEW_VISITS).to_numpy()
        known = everyone[few] if few.sum() >= MIN_NEWCOMERS else everyone
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
            rfm_score (see `features.customers.segments`). Customers without a purchase get the
            newcomers'
            rate.
        """
        return known_customers.answers(
            self.features(dataset, as_of), ids, self.predict_from, self.newcomers
        )

    def newcomers(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Answer for customers of whom no purchase is known."""
        ids = pl.Series("customer_id", customer_ids, dtype=pl.String)
        return pl.DataFrame(ids).select(
            "customer_id",
            pl.lit(self.newcomer_rate_).alias("churn_probability"),
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            pl.lit(NEW).alias("segment"),
            *explanation_columns([[(NEWCOMER_REASON, 0.0)]] * len(ids)),
            pl.lit(NEW).alias("stage"),
            pl.lit(None, dtype=pl.String).alias("rfm_segment"),
            pl.lit(None, dtype=pl.Int64).alias("rfm_score"),
        )

    def predict_from(self, features: pl.DataFrame) -> pl.DataFrame:
        """Answer from rows of `features`; batch and serving both go through here."""
        reasons = top_explanations(self.stack_.contributions(features), features, REASONS)
        named = (
            self.rfm_.with_segments(nw.from_native(features).lazy())
            .select(stage(self.horizon_days).alias("stage"), "rfm_segment", "rfm_score")
            .collect()
            .to_polars()
        )
        stages = named.get_column("stage")
        return features.select(
            "customer_id",
            pl.Series("churn_probability", self.stack_.chance(features), dtype=pl.Float64),
            pl.lit(self.horizon_days, dtype=pl.Int64).alias("horizon_days"),
            stages.replace(SEGMENTS).alias("segment"),
            *explanation_columns(reasons),
            stages,
            named.get_column("rfm_segment"),
            named.get_column("rfm_score"),
        )

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return each customer's reasons; `contribution` in log-odds of churn."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(self.stack_.contributions(features), features, REASONS)

    def save(self, folder: Path) -> None:
        """Write the stack and `churn.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.stack_.save(folder / "stack")
        content = {
            "options": options_of(self),
            "newcomer_rate": self.newcomer_rate_,
            "rfm": asdict(self.rfm_),
        }
        (folder / "churn.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        content = json.loads((folder / "churn.json").read_text())
        model = model_with_options(cls, content["options"])
        model.threads = threads or model.threads
        model.stack_ = ChurnEnsemble.load(folder / "stack", model.threads)
        model.newcomer_rate_ = content["newcomer_rate"]
        model.rfm_ = Rfm.from_edges(content["rfm"])
        return model

    def _ensemble_options(self) -> EnsembleOptions:
        return EnsembleOptions(
            trees=self.trees,
            rounds=self.rounds,
            members=self.members,
            seed=self.seed,
            threads=self.threads,
        )
