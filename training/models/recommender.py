"""What each customer will want: candidates, then a learned ranking of them.

Datasets in; ranked lists of products with a score and a reason out. Used by the
recommender's task, by `score`, and by publishing.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.errors import MissingData
from features.interactions import next_baskets
from training.contract import Needs, options_of
from training.models import histories
from training.models.boosting import Booster
from training.models.candidates import default_sources
from training.models.histories import Histories
from training.models.ranking_features import Block, Ranking

LISTS = pl.Schema(
    {
        "customer_id": pl.String,
        "rank": pl.Int32,
        "product_id": pl.String,
        "score": pl.Float64,
        "reason": pl.String,
    }
)
POPULAR = "popular"
# Days of history that the oldest training cut has to have before it.
MIN_HISTORY_DAYS = 28
EXPLAINED = 10


@dataclass
class RecommenderModel:
    """Two stages: candidate sources, then LightGBM on features of customer and product.

    The label is whether the product is in the customer's next basket; customers without
    one in the horizon teach nothing.

    Attributes
    ----------
    horizon_days
        A basket later than this after a cut is not its next basket.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    list_length
        Products recommended to each customer.
    cuts, cut_step_days
        How many past instants are learnt from, and the days between them.
    negative_share
        Share of the candidates that were not bought that are learnt from.
    own_limit
        Own products that are candidates, the liveliest.
    scored_products
        The most popular products, which candidate sources choose from.
    rounds, learning_rate, num_leaves, min_data_in_leaf, feature_fraction, lambda_l2
        As LightGBM has them.
    """

    name: ClassVar[str] = "recommender"
    needs: ClassVar[Needs] = Needs(
        required={"orders": ("customer_id", "order_id", "product_id", "ts", "day")},
        optional={
            "promotions": "what is promoted in the weeks ahead",
            "products": "how a customer buys from the product's category",
        },
    )

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    list_length: int = 100
    cuts: int = 4
    cut_step_days: int = 14
    negative_share: float = 0.2
    own_limit: int = 200
    scored_products: int = 3000
    rounds: int = 200
    learning_rate: float = 0.08
    num_leaves: int = 31
    min_data_in_leaf: int = 200
    feature_fraction: float = 0.3
    lambda_l2: float = 10.0
    booster_: Booster = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the next baskets after earlier cuts whose windows had ended by `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        examples = [self._examples(dataset, cut) for cut in self._cuts(dataset, as_of)]
        columns = sorted({name for frame, _ in examples for name in frame.columns})
        together = pl.concat(_complete(frame, columns) for frame, _ in examples)
        self.booster_ = Booster.fit(
            together,
            np.concatenate([label for _, label in examples]),
            {
                "objective": "binary",
                "learning_rate": self.learning_rate,
                "num_leaves": self.num_leaves,
                "min_data_in_leaf": self.min_data_in_leaf,
                "feature_fraction": self.feature_fraction,
                "lambda_l2": self.lambda_l2,
                "max_bin": 63,
            },
            self.rounds,
            threads=self.threads,
            seed=self.seed,
        )
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, rank (from 1), product_id, score (estimated chance of being in the
            next basket) and reason: `repeat` for what the customer bought before, else the
            source that ranks it highest: `similar`, `neighbours` or `popular`. Customers
            without a purchase get the popular products.
        """
        known = histories.known_at(dataset, as_of)
        customers = pl.Series("customer_id", known.customers.astype(object), pl.String)
        asked = customers if ids is None else ids.get_column("customer_id").unique().sort()
        codes = known.codes(asked)
        ranking = self._ranking(dataset, as_of, known)
        lists = [self._rank(ranking, block) for block in ranking.blocks(codes[codes >= 0])]
        popular = popular_list(known, self.list_length)
        unknown = asked.filter(pl.Series(codes < 0)).to_frame().join(popular, how="cross")
        everyone = pl.concat([*lists, unknown.select(list(LISTS)).cast(LISTS)])
        return everyone.sort("customer_id", "rank")

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Say what moved each recommended product; `contribution` in log-odds of being bought.

        Parameters
        ----------
        ids
            customer_id, and product_id where only some products are of interest; the first
            `EXPLAINED` of each customer otherwise.

        Returns
        -------
        polars.DataFrame
            customer_id, product_id, reason (a feature of the ranker), contribution.
        """
        if "product_id" not in ids.columns:
            top = self.predict(dataset, as_of, ids).filter(pl.col("rank") <= EXPLAINED)
            ids = top.select("customer_id", "product_id")
        known = histories.known_at(dataset, as_of)
        codes = known.codes(ids.get_column("customer_id"))
        ranking = self._ranking(dataset, as_of, known)
        parts = []
        for block in ranking.blocks(np.unique(codes[codes >= 0])):
            named = _named(known, block)
            wanted = named.join(ids, on=["customer_id", "product_id"], how="semi").height
            keep = named.select(
                pl.struct("customer_id", "product_id").is_in(
                    ids.select(pl.struct("customer_id", "product_id")).to_series().implode()
                )
            ).to_series()
            if not wanted:
                continue
            features = _complete(ranking.features(block, keep.to_numpy()), self.booster_.columns)
            shares = self.booster_.contributions(features)
            parts.append(pl.concat([named.filter(keep), shares], how="horizontal"))
        return pl.concat(parts).unpivot(
            index=["customer_id", "product_id"], variable_name="reason", value_name="contribution"
        )

    def save(self, folder: Path) -> None:
        """Write the booster's native file and `recommender.json`.

        Candidate sources are not kept: they follow from the histories at each `as_of`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.booster_.save(folder / "ranker")
        options = options_of(self)
        (folder / "recommender.json").write_text(json.dumps({"options": options}, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model = cls(**json.loads((folder / "recommender.json").read_text())["options"])
        model.threads = threads or model.threads
        model.booster_ = Booster.load(folder / "ranker", model.threads)
        return model

    def publish(self, dataset: Dataset, as_of: datetime, folder: Path) -> None:
        """Write every customer's list, the popular list, and what they are about."""
        known = histories.known_at(dataset, as_of)
        self.predict(dataset, as_of).write_parquet(folder / "answers.parquet")
        popular_list(known, self.list_length).write_parquet(folder / "popular.parquet")
        pl.DataFrame(
            {
                "customer_id": pl.Series(known.customers.astype(object), dtype=pl.String),
                "baskets": known.customer["customer_baskets"].astype(np.int32),
            }
        ).write_parquet(folder / "customers.parquet")
        about = {
            "as_of": as_of.isoformat(),
            "horizon_days": self.horizon_days,
            "list_length": self.list_length,
        }
        (folder / "about.json").write_text(json.dumps(about, indent=1))

    def _cuts(self, dataset: Dataset, as_of: datetime) -> list[datetime]:
        newest = as_of - timedelta(days=self.horizon_days)
        cuts = [newest - timedelta(days=self.cut_step_days * k) for k in range(self.cuts)]
        first = dataset.days[0]
        usable = [cut for cut in cuts if to_day(cut) - first >= MIN_HISTORY_DAYS]
        if not usable:
            raise MissingData(
                f"Dataset {dataset.name} has {to_day(as_of) - first} days of orders before "
                f"{as_of.date()}, but {self.horizon_days + MIN_HISTORY_DAYS} are needed to learn "
                "from; choose a later as_of, or a shorter horizon.",
                field="orders",
            )
        return usable

    def _examples(
        self, dataset: Dataset, cut: datetime
    ) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """Features and labels at a cut; computed once for all fits that learn from it."""
        key = ("ranking", cut, *(getattr(self, name) for name in _EXAMPLE_OPTIONS))
        return dataset.derive(key, lambda: self._compute_examples(dataset, cut))

    def _compute_examples(
        self, dataset: Dataset, cut: datetime
    ) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        known = histories.build(dataset, cut)
        bought = next_baskets(dataset, cut, self.horizon_days).collect().to_polars()
        bought = bought.filter("is_next").sort("customer_id", "product_id")
        buyers = known.codes(bought.get_column("customer_id"))
        products = histories.find_sorted(
            known.products, bought.get_column("product_id").to_numpy().astype(str)
        )
        ranking = self._ranking(dataset, cut, known)
        keys = np.sort((buyers * known.shape[1] + products)[(buyers >= 0) & (products >= 0)])
        rng = np.random.default_rng([self.seed, to_day(cut)])
        frames, labels = [], []
        for block in ranking.blocks(np.unique(buyers[buyers >= 0])):
            wanted = block.rows * known.shape[1] + block.cols
            label = histories.find_sorted(keys, wanted) >= 0
            keep = label | (rng.random(len(label)) < self.negative_share)
            frames.append(ranking.features(block, keep))
            labels.append(label[keep].astype(np.float64))
        if not frames:
            return pl.DataFrame(), np.zeros(0)
        return pl.concat(frames), np.concatenate(labels)

    def _ranking(self, dataset: Dataset, as_of: datetime, known: Histories) -> Ranking:
        return Ranking.at(
            dataset,
            as_of,
            known,
            default_sources(),
            products=self.scored_products,
            own_limit=self.own_limit,
        )

    def _rank(self, ranking: Ranking, block: Block) -> pl.DataFrame:
        features = _complete(ranking.features(block), self.booster_.columns)
        chance = self._calibrated(self.booster_.predict(features))
        return (
            _named(ranking.histories, block)
            .with_columns(pl.Series("score", chance), ranking.reasons(block))
            .with_columns(
                pl.col("score").rank("ordinal", descending=True).over("customer_id").alias("rank")
            )
            .filter(pl.col("rank") <= self.list_length)
            .select(list(LISTS))
            .cast(LISTS)
        )

    def _calibrated(self, chance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undo the sampling of negatives: a share s of them multiplies the odds by 1 / s."""
        return chance * self.negative_share / (1 - chance * (1 - self.negative_share))


_EXAMPLE_OPTIONS = (
    "horizon_days",
    "seed",
    "negative_share",
    "own_limit",
    "scored_products",
)


def popular_list(known: Histories, length: int) -> pl.DataFrame:
    """List the most popular products; the score is the share of the last 28 days' baskets."""
    cols = known.most_popular(length)
    total = max(float(known.customer["customer_baskets_28d"].sum()), 1.0)
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(cols) + 1, dtype=np.int32),
            "product_id": pl.Series(known.products[cols].astype(object), dtype=pl.String),
            "score": known.by_product("baskets_28d")[cols] / total,
            "reason": pl.Series([POPULAR] * len(cols), dtype=pl.String),
        }
    )


def _named(known: Histories, block: Block) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer_id": known.customers[block.rows].astype(object),
            "product_id": known.products[block.cols].astype(object),
        },
        {"customer_id": pl.String, "product_id": pl.String},
    )


def _complete(frame: pl.DataFrame, columns: Any) -> pl.DataFrame:
    """Put features in order; a kind of promotion that is not planned now is zero."""
    absent = [pl.lit(0.0, pl.Float32).alias(name) for name in columns if name not in frame.columns]
    return frame.with_columns(absent).select(columns)
