"""Candidates of customers at one instant, with their features.

What is known at the instant in; blocks of candidates, their static features and the state that
`context_features` needs out. Training, batch predictions and publishing share `Ranking`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.discontinued import discontinued_products
from features.interactions.builder import GAP_DAYS
from features.typing import Bools, Float32s, Ints
from training.models.recommender.candidates import (
    CandidateGenerator,
    RecommenderInputs,
    collect_candidates,
)
from training.models.recommender.inputs.interactions import Interactions
from training.models.recommender.inputs.locations import CustomerLocations
from training.models.recommender.inputs.product_groups import LEVELS, group_codes
from training.models.recommender.inputs.promotions import PromotionPlan
from training.models.recommender.ranking.context_features import (
    CUSTOMER_STATE,
    INTERACTION_STATE,
    PRODUCT_STATE,
    RepurchaseHazards,
    context_features,
)
from training.models.recommender.ranking.entity_features import (
    GroupPurchases,
    customer_features,
    product_features,
)

# Customers whose scores are held in memory at once.
BLOCK_CUSTOMERS = 512
# Position in `LEVELS` of the group that a column of `INTERACTION_STATE` describes, by prefix.
STATE_LEVELS = {"type": 0, "kind": 1}


@dataclass(frozen=True)
class Block:
    """Candidates of some customers, ordered by customer and product.

    Attributes
    ----------
    rows, cols
        Codes of customers and products.
    scores
        By candidate generator; NaN where a generator does not score the product.
    """

    rows: Ints
    cols: Ints
    scores: Mapping[str, Float32s]

    @cached_property
    def ranks(self) -> Mapping[str, Float32s]:
        """Rank of each candidate within its customer by generator, 0 for the highest score."""
        return {
            name: ranks_within_customers(self.rows, values) for name, values in self.scores.items()
        }

    def keep(self, kept: Bools) -> "Block":
        """Return the candidates of a mask."""
        scores = {name: values[kept] for name, values in self.scores.items()}
        return Block(self.rows[kept], self.cols[kept], scores)


@dataclass(frozen=True)
class Ranking:
    """Fitted candidate generators and all features at one instant.

    Attributes
    ----------
    dataset, interactions, locations, plan
        Inputs at the instant.
    generators
        Fitted; the first one proposes what a customer bought before.
    hazards
        Repurchase hazards by product.
    day
        The day that begins at the instant.
    product_features, customer_features
        By code.
    groups
        Purchases by product group, by level of the catalogue.
    """

    dataset: Dataset = field(repr=False)
    interactions: Interactions
    generators: Sequence[CandidateGenerator]
    locations: CustomerLocations
    plan: PromotionPlan
    hazards: RepurchaseHazards
    day: int
    product_features: Mapping[str, Float32s]
    groups: Mapping[str, GroupPurchases]
    customer_features: Mapping[str, Float32s]

    @classmethod
    def build(
        cls,
        inputs: RecommenderInputs,
        generators: Sequence[CandidateGenerator],
        *,
        products: int,
    ) -> Self:
        """Fit generators, which score the `products` most popular products, and features."""
        interactions, dataset = inputs.interactions, inputs.dataset
        cols = np.sort(interactions.most_popular(products))
        fitted = [generator.fit(inputs, cols) for generator in generators]
        groups = {
            level: GroupPurchases.build(interactions, group_codes(dataset, interactions, level))
            for level in LEVELS
            if dataset.has("products", level)
        }
        pairs = interactions.features
        gaps = [pairs[f"gaps_{days}d"] for days in GAP_DAYS] + [pairs["baskets"] - 1]
        return cls(
            dataset,
            interactions,
            fitted,
            inputs.locations,
            inputs.plan,
            RepurchaseHazards.fit(
                interactions.cols, gaps, pairs["recency_days"], interactions.shape[1]
            ),
            inputs.day,
            product_features(interactions, groups),
            groups,
            customer_features(interactions),
        )

    @cached_property
    def discontinued(self) -> Bools:
        """Mask of the products that are no longer sold: learned from, but not recommended."""
        gone = discontinued_products(self.dataset, self.day).to_numpy().astype(str)
        return np.isin(self.interactions.products, gone)

    def blocks(self, rows: Ints, *, discontinued: bool = False) -> Iterator[Block]:
        """Yield the candidates of the customers `rows`, `BLOCK_CUSTOMERS` at a time.

        Parameters
        ----------
        discontinued
            Whether discontinued products are among them.
        """
        for start in range(0, len(rows), BLOCK_CUSTOMERS):
            block = self._block(rows[start : start + BLOCK_CUSTOMERS])
            yield block if discontinued else block.keep(~self.discontinued[block.cols])

    def _block(self, rows: Ints) -> Block:
        scores = [generator.scores(rows) for generator in self.generators]
        limits = [generator.limit for generator in self.generators]
        positions, products = collect_candidates(scores, limits, self.interactions.shape[1])
        by_generator = {
            generator.name: values.lookup(positions, products)
            for generator, values in zip(self.generators, scores, strict=True)
        }
        return Block(rows[positions], products, by_generator)

    def static_features(self, block: Block, keep: Bools | None = None) -> pl.DataFrame:
        """Return features that do not depend on the context.

        Parameters
        ----------
        keep
            Candidates to return, all by default; ranks are among all candidates of the block.
        """
        keep = np.ones(len(block.rows), bool) if keep is None else keep
        rows, cols = block.rows[keep], block.cols[keep]
        position = self.interactions.find(rows, cols)
        features: dict[str, Float32s] = {}
        for name, values in block.scores.items():
            features[f"score_{name}"] = values[keep]
            features[f"rank_{name}"] = block.ranks[name][keep]
        for name, values in self.interactions.features.items():
            features[name] = _values_or_nan(values, position)
        features |= {name: values[cols] for name, values in self.product_features.items()}
        features |= {name: values[rows] for name, values in self.customer_features.items()}
        with np.errstate(invalid="ignore"):
            features["share_per_basket"] = features["decay_share"] / features["decay_basket"]
        features["active_share"] = (features["first_days"] - features["recency_days"]) / (
            features["customer_tenure_days"] + 1
        )
        features["baskets_since_first"] = features["baskets"] / (features["first_baskets"] + 1)
        for level, group in self.groups.items():
            features |= group.affinity(level, group.find(rows, cols), features)
        return pl.DataFrame(
            {name: values for name, values in features.items() if not _is_in_context(name)}
        )

    def state(self, rows: Ints, cols: Ints) -> dict[str, Float32s]:
        """Return the state of candidates that `context_features` needs."""
        position = self.interactions.find(rows, cols)
        missing = np.full(len(rows), np.nan, np.float32)
        groups = list(self.groups.values())
        state = {}
        for name in INTERACTION_STATE:
            prefix, _, column = name.partition("_")
            level = STATE_LEVELS.get(prefix)
            if level is None:
                state[name] = _values_or_nan(self.interactions.features[name], position)
            elif level < len(groups):
                group = groups[level]
                state[name] = _values_or_nan(group.features[column], group.find(rows, cols))
            else:
                state[name] = missing
        for name in (*CUSTOMER_STATE, *_promotion_columns("customer_on_", self.customer_features)):
            state[name] = self.customer_features[name][rows]
        for name in (*PRODUCT_STATE, *_promotion_columns("product_on_", self.product_features)):
            known = name in self.product_features
            state[name] = self.product_features[name][cols] if known else missing
        for name in _promotion_columns("on_", self.interactions.features):
            baskets = _values_or_nan(self.interactions.features[name], position)
            state[f"pair_{name}"] = baskets / state["baskets"]
        return state

    def context_features(self, block: Block, keep: Bools | None = None) -> pl.DataFrame:
        """Return context features at the instant; `keep` as in `static_features`."""
        keep = np.ones(len(block.rows), bool) if keep is None else keep
        rows, cols = block.rows[keep], block.cols[keep]
        promotions = self.plan.exposure(
            self.locations.codes[rows], self.locations.weights[rows], cols, self.day
        )
        return pl.DataFrame(
            context_features(self.state(rows, cols), self.hazards, cols, promotions)
        )

    def best_generators(self, block: Block) -> NDArray[np.int8]:
        """Position of the generator that ranks each candidate highest; 0 for repeat purchases."""
        names = [generator.name for generator in self.generators]
        ranks = np.stack([block.ranks[name] for name in names])
        scores = np.stack([block.scores[name] for name in names])
        ranks[~(scores > 0)] = np.inf
        ranks[0] = np.where(scores[0] > 0, -1, np.inf)
        best: NDArray[np.int8] = np.argmin(ranks, axis=0).astype(np.int8)
        return best


def ranks_within_customers(rows: Ints, scores: Float32s) -> Float32s:
    """Rank scores within each customer, 0 for the highest; `rows` are ascending."""
    customers, starts, lengths = np.unique(rows, return_index=True, return_counts=True)
    line = np.repeat(np.arange(len(customers)), lengths)
    column = np.arange(len(rows)) - starts[line]
    # One padded row per customer: many short sorts are faster than a long one.
    padded = np.full((len(customers), lengths.max(initial=0)), np.inf, np.float32)
    padded[line, column] = -np.nan_to_num(scores, nan=-1e9)
    order = np.argsort(padded, axis=1, kind="stable")
    ranks: Float32s = np.empty(padded.shape, np.float32)
    np.put_along_axis(ranks, order, np.arange(padded.shape[1], dtype=np.float32)[None, :], axis=1)
    return np.asarray(ranks[line, column])


def _is_in_context(name: str) -> bool:
    """Whether a feature is among the context features, or changes with each day as they do."""
    is_state = name in (*INTERACTION_STATE, *CUSTOMER_STATE, *PRODUCT_STATE)
    return is_state or "recency" in name or name.startswith(("customer_on_", "product_on_"))


def _values_or_nan(values: Float32s, position: Ints) -> Float32s:
    """Look up values by position; NaN at -1."""
    return np.where(position >= 0, values[position], np.nan).astype(np.float32)


def _promotion_columns(prefix: str, columns: Mapping[str, Float32s]) -> list[str]:
    """Names of the columns by kind of promotion that start with a prefix."""
    return [name for name in columns if name.startswith(prefix) and name != "product_on_promotion"]
