"""What each customer will want: candidates, then a learned ranking of them.

Datasets in; ranked lists of products with a score and a reason out. Used by the
recommender's task, by `score`, and by publishing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.errors import MissingData
from features.memo import memo
from training.contract import Needs, options_of
from training.models.recommender.candidates import RecommenderInputs, default_sources, inputs_at
from training.models.recommender.inputs import interactions as histories
from training.models.recommender.ranking.blend import KINDS, WEIGHTS
from training.models.recommender.ranking.examples import Examples, learning_cuts, together
from training.models.recommender.ranking.features import Block, Ranking
from training.models.recommender.ranking.ranker import Ranker
from training.models.recommender.recommendations import LISTS, listed, named, popular_list

# Products of a list that are explained where none are named.
EXPLAINED = 10
CONTRIBUTIONS = {
    "customer_id": pl.String,
    "product_id": pl.String,
    "reason": pl.String,
    "contribution": pl.Float64,
}


@dataclass
class RecommenderModel:
    """Two stages: candidate sources, then LightGBM on features of customer and product.

    Three kinds of list are learned: `now` for the next basket, `month` for all that is bought
    within the horizon, `explore` for what of that is new to the customer. Customers without a
    basket in the horizon teach nothing.

    Attributes
    ----------
    horizon_days
        A basket later than this after a cut is not its next basket.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    list_length
        Products recommended to each customer.
    cuts
        How many past instants are learnt from, a horizon apart; half a one where the history
        is too short for so many. The net learns from as many older ones too.
    learned_customers
        At most so many customers are learnt from at each cut, an even pick.
    negative_share
        Share of the candidates that were not bought that are learnt from.
    scored_products
        The most popular products, which candidate sources choose from.
    taste_rounds, moment_rounds, learning_rate, num_leaves, min_data_in_leaf,
    feature_fraction, lambda_l2
        As LightGBM has them; rounds of what time does not change, and of what it does.
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
    cuts: int = 3
    learned_customers: int = 6000
    negative_share: float = 0.1
    scored_products: int = 3000
    taste_rounds: int = 100
    moment_rounds: int = 60
    learning_rate: float = 0.08
    num_leaves: int = 31
    min_data_in_leaf: int = 300
    feature_fraction: float = 0.3
    lambda_l2: float = 10.0
    ranker_: Ranker = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the baskets after earlier cuts whose windows had ended by `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        cuts = learning_cuts(dataset, as_of, self.horizon_days, self.cuts, further=self.cuts)
        found = [self._examples(dataset, cut) for cut in cuts]
        self.ranker_ = Ranker.fit(
            together(found[: self.cuts]),
            together(found),
            {
                "learning_rate": self.learning_rate,
                "num_leaves": self.num_leaves,
                "min_data_in_leaf": self.min_data_in_leaf,
                "feature_fraction": self.feature_fraction,
                "bagging_fraction": 0.7,
                "bagging_freq": 1,
                "lambda_l2": self.lambda_l2,
                "max_bin": 63,
            },
            (self.taste_rounds, self.moment_rounds),
            negative_share=self.negative_share,
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
            next basket), reason: `repeat` for what the customer bought before, else that of the
            source that ranks it highest; month and explore: the chance of being bought within
            the horizon, explore null for what was bought before. Besides the first
            `list_length` by score, the best of the other kinds and of new products are there
            too. Customers
            without a purchase get the popular products.
        """
        ranking = self.ranking(dataset, as_of)
        known = ranking.histories
        customers = pl.Series("customer_id", known.customers.astype(object), pl.String)
        asked = customers if ids is None else ids.get_column("customer_id").unique().sort()
        codes = known.codes(asked)
        lists = [self._rank(ranking, block) for block in ranking.blocks(codes[codes >= 0])]
        popular = popular_list(known, self.list_length)
        unknown = asked.filter(pl.Series(codes < 0)).to_frame().join(popular, how="cross")
        everyone = pl.concat([*lists, unknown.select(list(LISTS)).cast(LISTS)])
        return everyone.sort("customer_id", "rank")

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Say what moved each recommended product; `contribution` in parts of the score of `now`.

        Parameters
        ----------
        ids
            customer_id, and product_id where only some products are of interest; the first
            `EXPLAINED` of each customer otherwise.

        Returns
        -------
        polars.DataFrame
            customer_id, product_id, reason (a feature of the ranker, or `base`), contribution.
        """
        if "product_id" not in ids.columns:
            top = self.predict(dataset, as_of, ids).filter(pl.col("rank") <= EXPLAINED)
            ids = top.select("customer_id", "product_id")
        ranking = self.ranking(dataset, as_of)
        known = ranking.histories
        codes = known.codes(ids.get_column("customer_id"))
        wanted = ids.select(pl.struct("customer_id", "product_id")).to_series().implode()
        parts = []
        for block in ranking.blocks(np.unique(codes[codes >= 0])):
            pairs = named(known, block)
            keep = pairs.select(pl.struct("customer_id", "product_id").is_in(wanted)).to_series()
            chosen = keep.to_numpy()
            for learner, weight in WEIGHTS["now"].items():
                if learner in self.ranker_.learners:
                    parts += self._contributions(
                        ranking, block, chosen, learner, weight / self.ranker_.blend.scale[learner]
                    )
        return (
            pl.concat([pl.DataFrame(schema=CONTRIBUTIONS), *parts])
            .group_by("customer_id", "product_id", "reason", maintain_order=True)
            .agg(pl.col("contribution").sum())
        )

    def _contributions(
        self, ranking: Ranking, block: Block, chosen: NDArray[np.bool_], learner: str, worth: float
    ) -> list[pl.DataFrame]:
        """Split a learner's scores of a block's chosen candidates, `worth` each."""
        pairs = named(ranking.histories, block).filter(pl.Series(chosen))
        taste, moment = ranking.taste(block, chosen), ranking.moment(block, chosen)
        return [
            pl.concat([pairs, shares * worth], how="horizontal").unpivot(
                index=["customer_id", "product_id"],
                variable_name="reason",
                value_name="contribution",
            )
            for shares in self.ranker_.contributions(learner, taste, moment)
        ]

    def save(self, folder: Path) -> None:
        """Write the boosters' native files and `recommender.json`.

        Candidate sources are not kept: they follow from the histories at each `as_of`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.ranker_.save(folder / "ranker")
        options = options_of(self)
        (folder / "recommender.json").write_text(json.dumps({"options": options}, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        model = cls(**json.loads((folder / "recommender.json").read_text())["options"])
        model.threads = threads or model.threads
        model.ranker_ = Ranker.load(folder / "ranker", model.threads)
        return model

    def _examples(self, dataset: Dataset, cut: datetime) -> Examples | None:
        """Features and labels at a cut; computed once for all fits that learn from it."""
        options = {name: getattr(self, name) for name in _EXAMPLE_OPTIONS}
        return examples_at(dataset, cut, **options)

    def ranking(self, dataset: Dataset, as_of: datetime) -> Ranking:
        """Prepare to answer at an instant, once for all that is answered then."""
        return ranking_at(dataset, as_of, self.scored_products)

    def _rank(self, ranking: Ranking, block: Block) -> pl.DataFrame:
        taste = self.ranker_.taste_of(ranking.taste(block))
        raw = self.ranker_.moved(taste, ranking.moment(block))
        scores = {kind: self.chance(ranking, block, kind, raw) for kind in KINDS}
        return listed(ranking, block, scores, self.list_length)

    def chance(
        self, ranking: Ranking, block: Block, kind: str, raw: Mapping[str, NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Score of a kind of list; NaN where there is nothing that it was learned from."""
        if kind not in self.ranker_.blend.kinds:
            return np.full(len(block.rows), np.nan)
        size = ranking.histories.customer["customer_size"][block.rows]
        return self.ranker_.blend.at(kind, raw, size)


_EXAMPLE_OPTIONS = (
    "horizon_days",
    "seed",
    "learned_customers",
    "negative_share",
    "scored_products",
)


@memo()
def ranking_at(dataset: Dataset, as_of: datetime, scored_products: int) -> Ranking:
    """Prepare what ranks candidates at `as_of`.

    Raises
    ------
    MissingData
        If no customer or no product is known then.
    """
    return _prepared(inputs_at(dataset, as_of), scored_products)


def _prepared(inputs: RecommenderInputs, scored_products: int) -> Ranking:
    if 0 in inputs.known.shape:
        raise MissingData(
            f"Nothing can be recommended as of {inputs.as_of.date()}: before it no customer is "
            f"known, or no product was sold {histories.MIN_LINES} times or is newer than "
            f"{histories.NEW_DAYS} days; choose a later as_of.",
            field="orders",
        )
    return Ranking.at(inputs, default_sources(), products=scored_products)


@memo()
def examples_at(
    dataset: Dataset,
    cut: datetime,
    *,
    horizon_days: int,
    seed: int,
    learned_customers: int,
    negative_share: float,
    scored_products: int,
) -> Examples | None:
    """Return features and labels of candidates at a cutoff; None if nothing is known then."""
    # A ranking that answered at the cutoff is reused; otherwise it is built and not stored.
    ranking = ranking_at.stored(dataset, cut, scored_products)
    if ranking is None:
        known = histories.build(dataset, cut)
        if 0 in known.shape:
            return None
        ranking = _prepared(RecommenderInputs.at(dataset, cut, known), scored_products)
    return Examples.at(
        dataset,
        ranking,
        cut,
        horizon_days,
        customers=learned_customers,
        negative_share=negative_share,
        seed=seed,
    )
