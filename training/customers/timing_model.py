"""Models whose answers are read off the curve of the next purchase: what they share.

A dataset and an instant go in; a fitted curve, explanations and saved files come out. Each model
says what it answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import polars as pl

from features.dataset import Dataset
from features.frames import frame_of_rows
from training.contract import Needs
from training.customers import model_file
from training.customers.cutoffs import customer_features
from training.customers.explanations import Explanation, Usual, Wording, explanation_rows
from training.customers.prediction import predict_customers
from training.customers.purchase_curves import PurchaseCurves
from training.customers.purchase_timing import PurchaseTiming
from training.customers.timing_training import BOOSTING, TimingOptions
from training.estimators.boosting import BoostingOptions

TIMING = "timing"


@dataclass
class TimingModel(ABC):
    """The timing of the next purchase (`training.customers.purchase_timing`), explained.

    Where records are shorter than two horizons of churn, it is BG/NBD and MBG/NBD.

    Attributes
    ----------
    horizon_days
        Days ahead that are answered for.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cutoffs
        Number of past cutoffs at most.
    rounds
        Number of trees.
    trees
        Options of the trees.
    explain_attributes
        Whether explanations may name attributes of customers, such as age.
    """

    needs: ClassVar[Needs] = Needs(required={"orders": ("customer_id", "day")})
    wording: ClassVar[Wording]

    horizon_days: int
    seed: int = 0
    threads: int = 1
    cutoffs: int = 12
    rounds: int = 200
    trees: BoostingOptions = BOOSTING
    explain_attributes: bool = False
    timing_: PurchaseTiming = field(init=False, repr=False)
    usual_: Usual = field(init=False, repr=False)

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the features that the model reads, one row a customer at `as_of`."""
        return customer_features(dataset, as_of)

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Predict at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            The columns of `predict_from`. Customers without a purchase get the curve of customers
            with few visits, unexplained.
        """
        return predict_customers(
            self.features(dataset, as_of), ids, self.predict_from, self.predict_new
        )

    @abstractmethod
    def predict_from(
        self,
        features: pl.DataFrame,
        curves: PurchaseCurves | None = None,
        timing_parts: pl.DataFrame | None = None,
    ) -> pl.DataFrame:
        """Predict from rows of `features`.

        Their curves and `timing_parts`, the contributions to `timing_`, are passed where known.
        """

    @abstractmethod
    def predict_new(self, customer_ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """Predict for customers without a purchase."""

    def contributions(
        self, features: pl.DataFrame, timing_parts: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the contributions to the log-odds that `wording` explains, and `base`."""
        parts = self.timing_.contributions(features) if timing_parts is None else timing_parts
        if self.wording.favours_purchase:
            return frame_of_rows(-parts.to_numpy(), parts.columns)
        return parts

    def explanations(
        self, features: pl.DataFrame, timing_parts: pl.DataFrame | None = None
    ) -> list[list[Explanation]]:
        """Return the explanations of rows of `features`."""
        return self.usual_.explanations(
            self.contributions(features, timing_parts),
            features,
            self.wording,
            attributes=self.explain_attributes,
        )

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return one row a customer and reason, with its `contribution`."""
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(features.select("customer_id"), self.explanations(features))

    def save(self, folder: Path) -> None:
        """Write options, fitted values and the timing of the next purchase."""
        model_file.write(self, folder, self._fitted())
        self.timing_.save(folder / TIMING)

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model, fitted = model_file.read(cls, folder, threads)
        model.timing_ = PurchaseTiming.load(folder / TIMING, model.threads)
        model._restore(fitted)
        return model

    def _timing_options(self) -> TimingOptions:
        return TimingOptions(
            trees=self.trees,
            rounds=self.rounds,
            cutoffs=self.cutoffs,
            seed=self.seed,
            threads=self.threads,
        )

    def _fitted(self) -> dict[str, Any]:
        """Return fitted values as JSON."""
        return {"usual": asdict(self.usual_)}

    def _restore(self, fitted: Mapping[str, Any]) -> None:
        """Set what `_fitted` returned."""
        self.usual_ = Usual(**fitted["usual"])
