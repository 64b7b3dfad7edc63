"""Next purchase from a category: the distribution of the days until a customer buys from it again.

Learns a hazard from customers and categories as they were at earlier cuts (`category_cuts`);
answers for those with three purchases or more. Retraining publishes every answer's curve,
`serving.customers.next_category` looks them up.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl

from features.customers.by_category import KEY
from features.dataset import Dataset
from features.errors import InvalidInput
from features.typing import Floats, Ints
from training.contract import Needs, model_with_options, options_of
from training.customers.explanations import explanation_columns
from training.customers.survival import (
    answers_from,
    check_follow_up,
    curve_of,
    life_table,
    lived_bins,
)
from training.estimators.bg_nbd import ModifiedBgNbd
from training.estimators.boosting import Booster, BoostingOptions
from training.models.next_category.cutoffs import (
    followed_pairs,
    leading_categories,
    pairs,
)
from training.models.next_category.explanations import SENTENCES, group_of
from training.models.next_category.person_periods import bin_edges, expand, process_input

# Pairs of whom all bins are laid out at a time: bounds the memory.
AT_ONCE = 20_000
EXPLAINED_DAYS = (0, 6, 12)
REASONS = 3
# What is said of those whose purchases from a category are too few for a rhythm.
OTHERS = "fewer than 3 purchases from the category: when others buy from it again"
Reasons = list[tuple[str, float]]
NORMS = "norms.parquet"

TREES = BoostingOptions(
    learning_rate=0.07,
    num_leaves=24,
    min_data_in_leaf=200,
    feature_fraction=0.5,
    lambda_l2=10.0,
)


@dataclass
class NextCategoryModel:
    """Discrete-time hazard by LightGBM on a sample of person-periods in two-day bins.

    Attributes
    ----------
    horizon_days
        The follow-up: the distribution is known up to here, what lies beyond is one lump.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    categories
        So many categories are answered for: those that most customers buy from again and again.
    cuts, cut_step_days
        How many past instants are learnt from, and the days between them.
    periods
        Bins of customers and categories that are learnt from, a random part of all.
    rounds
        Number of trees.
    trees
        How they are grown.
    """

    name: ClassVar[str] = "next-category"
    needs: ClassVar[Needs] = Needs(
        required={
            "orders": ("customer_id", "product_id", "day"),
            "products": ("product_id", "category"),
        }
    )

    horizon_days: int = 56
    seed: int = 0
    threads: int = 1
    categories: int = 40
    cuts: int = 6
    cut_step_days: int = 14
    periods: int = 400_000
    rounds: int = 150
    trees: BoostingOptions = TREES
    booster_: Booster = field(init=False, repr=False)
    process_: ModifiedBgNbd = field(init=False, repr=False)
    names_: list[str] = field(init=False, repr=False)
    curves_: Floats = field(init=False, repr=False)

    def features(
        self, dataset: Dataset, as_of: datetime, norms: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return the exact frame that the fitted model reads: one row a customer and category.

        `norms` say what is usual in a category (`category_cuts.norms_of`), for a dataset that
        holds but a few customers.
        """
        return pairs(dataset, as_of, self.names_, norms=norms)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from earlier cuts, each followed for one horizon or until `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, or has too few days before `as_of`.
        InvalidInput
            If the horizon is shorter than the longest chance that is answered.
        """
        self.needs.check(dataset, self.name)
        check_follow_up(self.horizon_days)
        self.names_ = leading_categories(dataset, as_of, self.categories)
        followed = followed_pairs(
            dataset,
            as_of,
            self.names_,
            self.horizon_days,
            step=self.cut_step_days,
            count=self.cuts,
        )
        self.process_ = ModifiedBgNbd.fit(*process_input(pairs(dataset, as_of, self.names_)))
        edges = bin_edges(self.horizon_days)
        parts = [lived_bins(cut.days, cut.bought, cut.until, edges) for cut in followed]
        total = sum(len(rows) for rows, _, _ in parts)
        share = min(1.0, self.periods / max(total, 1))
        random = np.random.default_rng(self.seed)
        frames, labels = [], []
        for cut, (rows, bins, bought) in zip(followed, parts, strict=True):
            chosen = random.random(len(rows)) < share
            frames.append(self._expand(cut.features, rows[chosen], bins[chosen]))
            labels.append(bought[chosen])
        self.booster_ = Booster.fit(
            pl.concat(frames),
            np.concatenate(labels),
            self.trees.params(objective="binary"),
            self.rounds,
            threads=self.threads,
            seed=self.seed,
        )
        names = np.concatenate(
            [
                cut.features.get_column("category").to_numpy()[rows]
                for cut, (rows, _, _) in zip(followed, parts, strict=True)
            ]
        )
        bins, bought = (np.concatenate([part[k] for part in parts]) for k in (1, 2))
        self.curves_ = np.stack(
            [life_table(bins[names == name], bought[names == name], edges) for name in self.names_]
        )
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of` for customers and categories, by default all with enough history.

        Returns
        -------
        polars.DataFrame
            customer_id, category, expected_days, q10, q50, q90, p_within_7, p_within_14,
            p_within_30, reasons and contributions, as for the next purchase of anything. A
            customer without enough history of a category gets the category's distribution.

        Raises
        ------
        InvalidInput
            If a category is not among those that are answered for.
        """
        features = self.features(dataset, as_of)
        if ids is None:
            return self.answers(features, self.curves(features))
        wanted = ids.select(KEY)
        self._check(wanted)
        features = features.join(wanted.unique(), on=KEY, how="semi")
        known = self.answers(features, self.curves(features))
        new = wanted.join(known, on=KEY, how="anti").unique(maintain_order=True)
        rows = [self.names_.index(name) for name in new.get_column("category")]
        unknown: list[Reasons] = [[(OTHERS, 0.0)]] * new.height
        known = pl.concat([known, self._answers(new, self.curves_[rows], unknown)])
        return wanted.join(known, on=KEY, how="left", maintain_order="left")

    def of_category(self, category: str) -> dict[str, Any]:
        """Answer for a customer of whom too little is known: as the category's others do."""
        keys = pl.DataFrame({"customer_id": [""], "category": [category]})
        curve = self.curves_[[self.names_.index(category)]]
        return self._answers(keys, curve, [[(OTHERS, 0.0)]]).row(0, named=True)

    def answers(self, features: pl.DataFrame, curves: Floats) -> pl.DataFrame:
        """Answer from rows of `features` and their curves; batch and serving both do."""
        return self._answers(features, curves, self._reasons(features))

    def _answers(self, keys: pl.DataFrame, curves: Floats, reasons: list[Reasons]) -> pl.DataFrame:
        """Read the answers off curves, beside the customers and categories that they are of."""
        read = answers_from(keys.get_column("customer_id"), curves)
        read = read.insert_column(1, keys.get_column("category"))
        return read.with_columns(explanation_columns(reasons))

    def curves(self, features: pl.DataFrame) -> Floats:
        """Return P(purchase within d days) for d = 1 to the horizon, shape (pairs, horizon)."""
        edges = bin_edges(self.horizon_days)
        bins = len(edges) - 1
        found = [np.empty((0, self.horizon_days))]
        for start in range(0, features.height, AT_ONCE):
            part = features.slice(start, AT_ONCE)
            rows = np.repeat(np.arange(part.height), bins)
            laid = self._expand(part, rows, np.tile(np.arange(bins), part.height))
            found.append(curve_of(self.booster_.predict(laid).reshape(part.height, bins), edges))
        return np.concatenate(found)

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return reasons; `contribution` in log-odds of buying in a bin of the first two weeks."""
        self._check(ids)
        features = self.features(dataset, as_of).join(ids.select(KEY), on=KEY, how="semi")
        said = [
            (customer, category, reason, value)
            for customer, category, reasons in zip(
                *(features.get_column(key) for key in KEY), self._reasons(features), strict=True
            )
            for reason, value in reasons
        ]
        schema = dict.fromkeys((*KEY, "reason"), pl.String) | {"contribution": pl.Float64}
        return pl.DataFrame(said, schema=schema, orient="row")

    def _reasons(self, features: pl.DataFrame) -> list[Reasons]:
        """Return each row's strongest reasons with their contributions, strongest first."""
        bins = np.searchsorted(bin_edges(self.horizon_days), EXPLAINED_DAYS)
        groups = list(SENTENCES)
        moved = [np.empty((0, len(groups)))]
        for start in range(0, features.height, AT_ONCE):
            part = features.slice(start, AT_ONCE)
            rows = np.repeat(np.arange(part.height), len(bins))
            laid = self._expand(part, rows, np.tile(bins, part.height))
            parts = self.booster_.path_contributions(laid).drop("base")
            mean = parts.to_numpy().reshape(part.height, len(bins), parts.width).mean(axis=1)
            of = np.array([groups.index(group_of(name)) for name in parts.columns])
            moved.append(np.stack([mean[:, of == k].sum(axis=1) for k in range(len(groups))], 1))
        values = np.concatenate(moved)
        order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :REASONS]
        return [
            [(SENTENCES[groups[k]](row), float(values[number, k])) for k in order[number]]
            for number, row in enumerate(features.iter_rows(named=True))
        ]

    def save(self, folder: Path) -> None:
        """Write the native booster and `next_category.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster_.save(folder / "booster")
        content = {
            "options": options_of(self),
            "process": [self.process_.r, self.process_.alpha, self.process_.a, self.process_.b],
            "categories": self.names_,
            "curves": self.curves_.tolist(),
        }
        (folder / "next_category.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        content = json.loads((folder / "next_category.json").read_text())
        model = model_with_options(cls, content["options"])
        model.threads = threads or model.threads
        model.booster_ = Booster.load(folder / "booster", model.threads)
        model.process_ = ModifiedBgNbd(*content["process"])
        model.names_ = content["categories"]
        model.curves_ = np.array(content["curves"]).reshape(-1, model.horizon_days)
        return model

    def _check(self, ids: pl.DataFrame) -> None:
        unknown = ids.filter(~pl.col("category").is_in(self.names_))
        if not unknown.is_empty():
            raise unknown_category(unknown.get_column("category")[0], self.names_)

    def _expand(self, features: pl.DataFrame, rows: Ints, bins: Ints) -> pl.DataFrame:
        return expand(features, self.process_, bin_edges(self.horizon_days), rows, bins)


def unknown_category(name: str, known: list[str]) -> InvalidInput:
    """Say which categories are answered for."""
    return InvalidInput(
        f"category = {name!r} is not answered for; there is {', '.join(known)}.", field="category"
    )
