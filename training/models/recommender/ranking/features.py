"""Features of a customer and a candidate product, for the recommender's ranker.

Histories, candidate scores, catalogue and promotion calendar in; one row a candidate out:
its taste, which only time changes, and its state, from which `moment_features` says what a
moment makes of it. Training, batch predictions and publishing all come through `Ranking`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.interactions.builder import GAP_DAYS, WINDOW_DAYS
from features.typing import Float32s, Ints
from training.models.recommender.candidates import RecommenderInputs, Source, collect
from training.models.recommender.inputs.interactions import Interactions, add_up, find_sorted
from training.models.recommender.inputs.locations import Places
from training.models.recommender.inputs.product_groups import LEVELS, level_of
from training.models.recommender.inputs.promotions import Plan
from training.models.recommender.ranking.context_features import (
    OF_CUSTOMER,
    OF_PAIR,
    OF_PRODUCT,
    Clocks,
    moment_features,
)

# Customers whose scores are held in memory at once.
BLOCK = 512
# What many took within so many days may be on offer there, whether a plan says so or not.
FRESH_DAYS = (1, 3)
# A day with so few customers tells half as much of what they take.
FEW = 20
# What says how lately something was bought, and so belongs to the moment.
OF_THE_MOMENT = {
    "recency_days",
    "recency_baskets",
    "recency_over_gap",
    "baskets_7d",
    "baskets_last_1",
    "baskets_last_2",
    "decay_14d",
    "customer_recency_days",
}


@dataclass(frozen=True)
class Group:
    """What customers bought of each group of products (a category): pairs of both."""

    of_product: Ints
    keys: Ints
    values: Mapping[str, Float32s]

    def at(self, rows: Ints, cols: Ints) -> Ints:
        """Positions of the candidates' groups; -1 where the customer bought nothing of it."""
        size = int(self.of_product.max(initial=0)) + 1
        return find_sorted(self.keys, rows * size + self.of_product[cols])


@dataclass(frozen=True)
class Block:
    """Candidates of some customers, in the order of customers and products.

    Attributes
    ----------
    rows, cols
        Codes of customers and products.
    scores
        By source; NaN where a source does not know the product.
    """

    rows: Ints
    cols: Ints
    scores: Mapping[str, Float32s]

    @cached_property
    def ranks(self) -> Mapping[str, Float32s]:
        """Rank of each candidate within its customer by source, 0 for the highest score."""
        return {name: ranks(self.rows, values) for name, values in self.scores.items()}

    def keep(self, chosen: NDArray[np.bool_]) -> "Block":
        """Return some of the candidates."""
        scores = {name: values[chosen] for name, values in self.scores.items()}
        return Block(self.rows[chosen], self.cols[chosen], scores)


@dataclass(frozen=True)
class Ranking:
    """All that ranking at one instant needs; made once, asked block by block."""

    histories: Interactions
    sources: Sequence[Source]
    places: Places
    plan: Plan
    clocks: Clocks
    day: int
    product: Mapping[str, Float32s]
    groups: Mapping[str, Group]
    customer: Mapping[str, Float32s]

    @classmethod
    def at(cls, moment: RecommenderInputs, chosen: Sequence[Source], *, products: int) -> "Ranking":
        """Prepare to rank at a moment; sources score the `products` most popular."""
        known, dataset = moment.known, moment.dataset
        cols = np.sort(known.most_popular(products))
        fitted = [source.fit(moment, cols) for source in chosen]
        groups = {
            level: _group(known, level_of(dataset, known, level))
            for level in LEVELS
            if dataset.has("products", level)
        }
        product = {**_products(known), **_relative_prices(known, groups)}
        pairs = known.pairs
        gaps = [pairs[f"gaps_{days}d"] for days in GAP_DAYS] + [pairs["baskets"] - 1]
        return cls(
            known,
            fitted,
            moment.places,
            moment.plan,
            Clocks.learn(known.cols, gaps, pairs["recency_days"], known.shape[1]),
            moment.day,
            product,
            groups,
            _customers(known),
        )

    def blocks(self, rows: Ints) -> Iterator[Block]:
        """Yield the candidates of the customers `rows`, some customers at a time."""
        for start in range(0, len(rows), BLOCK):
            yield self._block(rows[start : start + BLOCK])

    def _block(self, rows: Ints) -> Block:
        scores = [source.scores(rows) for source in self.sources]
        limits = [source.limit for source in self.sources]
        positions, products = collect(scores, limits, self.histories.shape[1])
        found = {
            source.name: one.at(positions, products)
            for source, one in zip(self.sources, scores, strict=True)
        }
        return Block(rows[positions], products, found)

    def taste(self, block: Block, keep: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """Describe what does not depend on the moment; ranks are among all of the block."""
        keep = np.ones(len(block.rows), bool) if keep is None else keep
        rows, cols = block.rows[keep], block.cols[keep]
        at = self.histories.find(rows, cols)
        found: dict[str, Float32s] = {}
        for name, values in block.scores.items():
            found[f"score_{name}"] = values[keep]
            found[f"rank_{name}"] = block.ranks[name][keep]
        for name, values in self.histories.pairs.items():
            found[name] = np.where(at >= 0, values[at], np.nan).astype(np.float32)
        found |= {name: values[cols] for name, values in self.product.items()}
        found |= {name: values[rows] for name, values in self.customer.items()}
        found["basket_share"] = found["baskets"] / found["customer_baskets"]
        with np.errstate(invalid="ignore"):
            found["share_per_basket"] = found["decay_share"] / found["decay_basket"]
        found["active_share"] = (found["first_days"] - found["recency_days"]) / (
            found["customer_tenure_days"] + 1
        )
        found["baskets_since_first"] = found["baskets"] / (found["first_baskets"] + 1)
        for level, group in self.groups.items():
            found |= _affinity(level, group, group.at(rows, cols), found)
        kept = {name: values for name, values in found.items() if name not in OF_THE_MOMENT}
        return pl.DataFrame({name: v for name, v in kept.items() if "_recency_" not in name})

    def state(self, rows: Ints, cols: Ints) -> dict[str, Float32s]:
        """Collect what `moment_features` needs of candidates."""
        at = self.histories.find(rows, cols)

        def of_pair(values: Float32s) -> Float32s:
            return np.where(at >= 0, values[at], np.nan).astype(np.float32)

        missing = np.full(len(rows), np.nan, np.float32)
        found = {}
        for name in OF_PAIR:
            level = {"type": 0, "kind": 1}.get(name.split("_")[0])
            if level is None:
                found[name] = of_pair(self.histories.pairs[name])
                continue
            group = list(self.groups.values())[level : level + 1]
            column = name.split("_", 1)[1]
            where = group[0].at(rows, cols) if group else missing
            found[name] = (
                np.where(where >= 0, group[0].values[column][where], np.nan).astype(np.float32)
                if group
                else missing
            )
        for name in (*OF_CUSTOMER, *self._promoted("customer_on_", self.customer)):
            found[name] = self.customer[name][rows]
        for name in (*OF_PRODUCT, *self._promoted("product_on_", self.product)):
            found[name] = self.product[name][cols] if name in self.product else missing
        for name in self._promoted("on_", self.histories.pairs):
            found[f"pair_{name}"] = of_pair(self.histories.pairs[name]) / found["baskets"]
        return found

    def moment(self, block: Block, keep: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """Describe what depends on the moment, at the ranking's own."""
        keep = np.ones(len(block.rows), bool) if keep is None else keep
        rows, cols = block.rows[keep], block.cols[keep]
        promotions = self.plan.shares(
            self.places.codes[rows], self.places.weights[rows], cols, self.day
        )
        return pl.DataFrame(moment_features(self.state(rows, cols), self.clocks, cols, promotions))

    @staticmethod
    def _promoted(prefix: str, columns: Mapping[str, Float32s]) -> list[str]:
        return [
            name
            for name in columns
            if name.startswith(prefix) and name not in ("product_on_promotion",)
        ]

    def reasons(self, block: Block) -> NDArray[np.int8]:
        """Position of the source that ranks each candidate highest; 0, own, where bought."""
        names = [source.name for source in self.sources]
        places = np.stack([block.ranks[name] for name in names])
        values = np.stack([block.scores[name] for name in names])
        places[~(values > 0)] = np.inf
        places[0] = np.where(values[0] > 0, -1, np.inf)
        found: NDArray[np.int8] = np.argmin(places, axis=0).astype(np.int8)
        return found


def ranks(rows: Ints, scores: Float32s) -> Float32s:
    """Rank scores within each customer, 0 for the highest; `rows` are ordered."""
    customers, starts, lengths = np.unique(rows, return_index=True, return_counts=True)
    at = np.repeat(np.arange(len(customers)), lengths)
    place = np.arange(len(rows)) - starts[at]
    # One line a customer: many short sorts are done sooner than a long one.
    lines = np.full((len(customers), lengths.max(initial=0)), np.inf, np.float32)
    lines[at, place] = -np.nan_to_num(scores, nan=-1e9)
    order = np.argsort(lines, axis=1, kind="stable")
    found: Float32s = np.empty(lines.shape, np.float32)
    np.put_along_axis(found, order, np.arange(lines.shape[1], dtype=np.float32)[None, :], axis=1)
    return np.asarray(found[at, place])


def fresh_takers(histories: Interactions) -> dict[str, NDArray[Any]]:
    """Who took it of a thousand customers of the last days, and of all in their last baskets."""
    ago, came = histories.pairs["recency_days"], histories.customer["customer_recency_days"]
    # Counted from the last day of sales; a day that has only begun is no day yet.
    newest = max(float(came.min(initial=np.inf)), 1.0)
    took = {f"{days}d": ago < newest + days for days in FRESH_DAYS}
    asked = {f"{days}d": (came < newest + days).sum() for days in FRESH_DAYS}
    took["last"] = histories.pairs["recency_baskets"] == 0
    asked["last"] = len(came)
    return {
        f"product_takers_{name}": add_up(histories.cols, taken, histories.shape[1])
        * (1000 / (asked[name] + FEW))
        for name, taken in took.items()
    }


def _customers(histories: Interactions) -> dict[str, Float32s]:
    baskets = histories.customer["customer_baskets"]
    products = np.bincount(histories.rows, minlength=histories.shape[0])
    found = {
        "customer_lines": histories.by_customer("lines") / baskets,
        "customer_products": products,
        "customer_repeat_share": 1 - products / np.maximum(histories.by_customer("baskets"), 1),
        "customer_cadence": histories.customer["customer_tenure_days"] / baskets,
        "customer_basket_share": histories.by_customer("decay_share")
        / np.maximum(histories.by_customer("decay_basket"), 1e-3),
    }
    for name in histories.pairs:
        if name.startswith("on_"):
            found[f"customer_{name}"] = histories.by_customer(name) / np.maximum(
                histories.by_customer("baskets"), 1
            )
    if "spend" in histories.pairs:
        spend = histories.by_customer("spend")
        found["customer_spend"] = spend / baskets
        if "discount" in histories.pairs:
            found["customer_discount"] = _share(histories.by_customer("discount"), spend)
    return {**histories.customer, **{k: v.astype(np.float32) for k, v in found.items()}}


def _products(histories: Interactions) -> dict[str, Float32s]:
    size = histories.shape[1]
    buyers = add_up(histories.cols, np.ones(len(histories.cols)), size)
    again = add_up(histories.cols, histories.pairs["baskets"] > 1, size)
    found: dict[str, NDArray[Any]] = {
        f"product_{w}d": histories.by_product(f"baskets_{w}d") for w in WINDOW_DAYS
    }
    found["product_trend"] = found["product_14d"] / (found["product_56d"] / 4 + 1)
    found["product_baskets"] = histories.by_product("baskets")
    found["product_buyers"] = buyers
    found["product_repeat_rate"] = again / (buyers + 5)
    found["product_per_buyer"] = found["product_baskets"] / (buyers + 1)
    found |= fresh_takers(histories)
    gaps = np.nan_to_num(histories.pairs["gap_mean"] * (histories.pairs["baskets"] - 1))
    gap_sum = add_up(histories.cols, gaps, size)
    found["product_gap"] = gap_sum / (found["product_baskets"] - buyers + 1e-3)
    found["product_basket_share"] = histories.by_product("decay_share") / np.maximum(
        histories.by_product("decay_basket"), 1e-3
    )
    promoted = np.zeros(size)
    for name in histories.pairs:
        if name.startswith("on_"):
            on = histories.by_product(name)
            found[f"product_{name}"] = on / np.maximum(found["product_baskets"], 1)
            promoted = np.maximum(promoted, found[f"product_{name}"])
    found["product_on_promotion"] = promoted
    of: Mapping[str, NDArray[Any]] = histories.product
    found["product_first_days"], found["product_last_days"] = of["first_days"], of["last_days"]
    found["product_pace"] = of["lines_7d"] / (of["lines_28d"] / 4 + 1)
    if "spend" in of:
        found["product_price"] = of["spend"] / np.maximum(of["units"], 1e-3)
        recent = of["spend_28d"] / np.maximum(of["units_28d"], 1e-3)
        found["product_price_change"] = recent / np.maximum(found["product_price"], 1e-3)
    if "discount" in of and "spend" in of:
        found["product_discount"] = _share(of["discount"], of["spend"])
        found["product_recent_discount"] = _share(of["discount_7d"], of["spend_7d"])
    return {name: values.astype(np.float32) for name, values in found.items()}


def _share(part: NDArray[Any], rest: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(part / np.maximum(part + rest, 1e-3))


def _group(histories: Interactions, of_product: Ints) -> Group:
    """Add up each customer's purchases by group of products."""
    size = int(of_product.max(initial=0)) + 1
    keys, inverse = np.unique(
        histories.rows * size + of_product[histories.cols], return_inverse=True
    )
    sums = ("baskets", "baskets_28d", "baskets_91d", "decay_14d", "decay_60d", "decay_basket")
    values = {name: add_up(inverse, histories.pairs[name], len(keys)) for name in sums}
    values["products"] = add_up(inverse, np.ones(len(inverse)), len(keys))
    for name in ("recency_days", "recency_baskets"):
        least = np.full(len(keys), np.inf)
        np.minimum.at(least, inverse, histories.pairs[name])
        values[name] = least
    return Group(of_product, keys, {k: v.astype(np.float32) for k, v in values.items()})


def _relative_prices(histories: Interactions, groups: Mapping[str, Group]) -> dict[str, Float32s]:
    """Price and sales of each product over those of its group."""
    found: dict[str, Float32s] = {}
    recent = histories.by_product("baskets_28d")
    for level, group in groups.items():
        sold = np.bincount(group.of_product, weights=recent)[group.of_product]
        found[f"{level}_share_28d"] = (recent / (sold + 1)).astype(np.float32)
        found[f"{level}_28d"] = sold.astype(np.float32)
        if "spend" in histories.pairs:
            units, spend = histories.by_product("units"), histories.by_product("spend")
            mean = np.bincount(group.of_product, weights=spend) / np.maximum(
                np.bincount(group.of_product, weights=units), 1e-3
            )
            price = spend / np.maximum(units, 1e-3)
            relative = price / np.maximum(mean[group.of_product], 1e-3)
            found[f"{level}_relative_price"] = relative.astype(np.float32)
    return found


def _affinity(
    level: str, group: Group, at: Ints, found: Mapping[str, Float32s]
) -> dict[str, Float32s]:
    """Describe what the customer bought of the candidate's group, found at `at`."""
    values = {
        f"{level}_{name}": np.where(at >= 0, column[at], np.nan).astype(np.float32)
        for name, column in group.values.items()
    }
    values[f"share_of_{level}"] = found["decay_60d"] / values[f"{level}_decay_60d"]
    return values
