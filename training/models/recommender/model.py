"""Recommender: candidate generation, then a learned ranking.

A dataset and an instant in; ranked products per customer with scores and reason codes out.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.errors import MissingData
from features.memo import memo
from features.typing import Bools
from training.contract import Needs, model_with_options, options_of
from training.estimators.boosting import BoostingOptions
from training.models.recommender.candidates import (
    RecommenderInputs,
    default_generators,
    inputs_at,
)
from training.models.recommender.inputs.interactions import (
    MIN_LINES,
    NEW_DAYS,
    build_interactions,
)
from training.models.recommender.ranking.encoding import Codes
from training.models.recommender.ranking.examples import Examples, training_cutoffs
from training.models.recommender.ranking.features import Block, Ranking
from training.models.recommender.ranking.ranker import LISTS, Ranker
from training.models.recommender.ranking.ranker_training import columns, fit_ranker
from training.models.recommender.recommendations import (
    SCHEMA,
    pair_ids,
    popular_list,
    recommendation_frame,
)

# Products per customer that `explain` covers by default.
EXPLAINED_PRODUCTS = 10
CONTRIBUTIONS = {
    "customer_id": pl.String,
    "product_id": pl.String,
    "reason": pl.String,
    "contribution": pl.Float64,
}
OPTIONS_FILE = "recommender.json"
RANKER_FOLDER = "ranker"

TREES = BoostingOptions(
    learning_rate=0.1,
    num_leaves=31,
    min_data_in_leaf=300,
    feature_fraction=0.3,
    lambda_l2=10.0,
)


@dataclass
class RecommenderModel:
    """Candidate generators, then boosted trees and a neural network on features of the pairs.

    Three lists are ranked: `now` for the next basket, `month` for all purchases within the
    horizon, `explore` for purchases that are new to the customer. Customers without a basket in
    the horizon are not training examples.

    Attributes
    ----------
    horizon_days
        Baskets later than this after a cutoff do not count as the next basket.
    seed, threads
        The same seed gives the same model; processor threads of fit and predict.
    list_length
        Products recommended to each customer.
    cutoffs
        Largest number of training cutoffs; see `training_cutoffs`.
    sampled_customers
        Largest number of customers per cutoff, evenly spaced.
    negative_share
        Sampled share of the candidates that were not bought.
    scored_products
        Number of products, the most popular, that generators score.
    rounds, trees
        Number of trees of each learner, and how they are grown.
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
    cutoffs: int = 3
    sampled_customers: int = 6000
    negative_share: float = 0.1
    scored_products: int = 3000
    rounds: int = 100
    trees: BoostingOptions = TREES
    ranker_: Ranker = field(init=False, repr=False)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the baskets after earlier cutoffs whose horizons ended by `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks a required column, or has too few days before `as_of`.
        """
        self.needs.check(dataset, self.name)
        cutoffs = training_cutoffs(dataset, as_of, self.horizon_days, self.cutoffs)
        self.ranker_ = fit_ranker(
            Examples.concatenate([self._examples(dataset, cutoff) for cutoff in cutoffs]),
            self.trees,
            self.rounds,
            negative_share=self.negative_share,
            threads=self.threads,
            seed=self.seed,
        )
        return self

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Recommend products at `as_of` to `ids`, by default to all customers with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id, rank (from 1), product_id, score (probability of being in the next
            basket), reason (`repeat` for products that the customer bought before, else that of
            the generator that ranks the product highest), month and explore (probability of
            being bought within the horizon; explore is null for products bought before). The
            first `list_length` products by score are followed by the best of the other lists
            and of new products. Customers without a purchase get the popular products.
        """
        ranking = self.ranking(dataset, as_of)
        interactions = ranking.interactions
        if ids is None:
            customers = pl.Series("customer_id", interactions.customers.astype(object), pl.String)
        else:
            customers = ids.get_column("customer_id").unique().sort()
        codes = interactions.customer_codes(customers)
        frames = [self._rank(ranking, block) for block in ranking.blocks(codes[codes >= 0])]
        popular = popular_list(interactions, self.list_length, ranking.discontinued)
        unknown = customers.filter(pl.Series(codes < 0)).to_frame().join(popular, how="cross")
        frames.append(unknown.select(list(SCHEMA)).cast(SCHEMA))
        return pl.concat(frames).sort("customer_id", "rank")

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Split the score of the next basket of recommended products by feature.

        Parameters
        ----------
        ids
            customer_id, and optionally product_id; the first `EXPLAINED_PRODUCTS` of each
            customer by default.

        Returns
        -------
        polars.DataFrame
            customer_id, product_id, reason (a feature of the ranker, or `base`), contribution
            (part of the score before calibration, in units of log-odds).
        """
        if "product_id" not in ids.columns:
            top = self.predict(dataset, as_of, ids).filter(pl.col("rank") <= EXPLAINED_PRODUCTS)
            ids = top.select("customer_id", "product_id")
        if "now" not in self.ranker_.lists:
            return pl.DataFrame(schema=CONTRIBUTIONS)
        ranking = self.ranking(dataset, as_of)
        codes = ranking.interactions.customer_codes(ids.get_column("customer_id"))
        wanted = ids.select(pl.struct("customer_id", "product_id")).to_series().implode()
        parts = [pl.DataFrame(schema=CONTRIBUTIONS)]
        for block in ranking.blocks(np.unique(codes[codes >= 0])):
            pairs = pair_ids(ranking.interactions, block)
            explained = pairs.select(pl.struct("customer_id", "product_id").is_in(wanted))
            rows = explained.to_series()
            parts += [
                pl.concat([pairs.filter(rows), by_feature], how="horizontal").unpivot(
                    index=["customer_id", "product_id"],
                    variable_name="reason",
                    value_name="contribution",
                )
                for by_feature in self.ranker_.contributions(
                    self.codes(ranking, block, rows.to_numpy()), "now"
                )
            ]
        return (
            pl.concat(parts)
            .group_by("customer_id", "product_id", "reason", maintain_order=True)
            .agg(pl.col("contribution").sum())
        )

    def save(self, folder: Path) -> None:
        """Write the ranker and the options.

        Candidate generators are not saved: they are fitted on the interactions at each `as_of`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.ranker_.save(folder / RANKER_FOLDER)
        options = options_of(self)
        (folder / OPTIONS_FILE).write_text(json.dumps({"options": options}, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        options = json.loads((folder / OPTIONS_FILE).read_text())["options"]
        model = model_with_options(cls, options)
        model.threads = threads or model.threads
        model.ranker_ = Ranker.load(folder / RANKER_FOLDER, model.threads)
        return model

    def _examples(self, dataset: Dataset, cutoff: datetime) -> Examples | None:
        """Return the examples of a cutoff, computed once for all fits with the same options."""
        options = {name: getattr(self, name) for name in _EXAMPLE_OPTIONS}
        return examples_at(dataset, cutoff, **options)

    def ranking(self, dataset: Dataset, as_of: datetime) -> Ranking:
        """Fit candidate generators at an instant, once per dataset and instant."""
        return ranking_at(dataset, as_of, self.scored_products)

    def _rank(self, ranking: Ranking, block: Block) -> pl.DataFrame:
        raw = self.ranker_.scores(self.codes(ranking, block))
        size = ranking.interactions.customer_features["customer_size"][block.rows]
        scores = {name: self.ranker_.probability(name, raw, size) for name in LISTS}
        return recommendation_frame(ranking, block, scores, self.list_length)

    def codes(self, ranking: Ranking, block: Block, keep: Bools | None = None) -> Codes:
        """Encode the features of candidates; `keep` as in `Ranking.static_features`."""
        static = ranking.static_features(block, keep)
        encoded = self.ranker_.static.encode(columns(static), static.height)
        return self.ranker_.codes(encoded, columns(ranking.context_features(block, keep)))


_EXAMPLE_OPTIONS = (
    "horizon_days",
    "seed",
    "sampled_customers",
    "negative_share",
    "scored_products",
)


@memo()
def ranking_at(dataset: Dataset, as_of: datetime, scored_products: int) -> Ranking:
    """Fit candidate generators and features at `as_of`.

    Raises
    ------
    MissingData
        If no customer or no product is known then.
    """
    return build_ranking(inputs_at(dataset, as_of), scored_products)


def build_ranking(inputs: RecommenderInputs, scored_products: int) -> Ranking:
    """Fit candidate generators and features on the inputs.

    Raises
    ------
    MissingData
        If no customer or no product is known then.
    """
    if 0 in inputs.interactions.shape:
        raise MissingData(
            f"Nothing can be recommended as of {inputs.as_of.date()}: before it no customer is "
            f"known, or no product was sold {MIN_LINES} times or is newer than "
            f"{NEW_DAYS} days; choose a later as_of.",
            field="orders",
        )
    return Ranking.build(inputs, default_generators(), products=scored_products)


@memo()
def examples_at(
    dataset: Dataset,
    cutoff: datetime,
    *,
    horizon_days: int,
    seed: int,
    sampled_customers: int,
    negative_share: float,
    scored_products: int,
) -> Examples | None:
    """Return features and labels of candidates at a cutoff; None if nothing is known then."""
    # A ranking that answered at the cutoff is reused; otherwise it is built and not stored.
    ranking = ranking_at.stored(dataset, cutoff, scored_products)
    if ranking is None:
        interactions = build_interactions(dataset, cutoff)
        if 0 in interactions.shape:
            return None
        inputs = RecommenderInputs.build(dataset, cutoff, interactions)
        ranking = build_ranking(inputs, scored_products)
    return Examples.build(
        dataset,
        ranking,
        cutoff,
        horizon_days,
        customers=sampled_customers,
        negative_share=negative_share,
        seed=seed,
    )
