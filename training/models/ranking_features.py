"""Features of a customer and a candidate product, for the recommender's ranker.

Histories, candidate scores, catalogue and promotion calendar in; one row a candidate out.
Training, batch predictions and publishing all come through `Ranking`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from features.interactions import WINDOW_DAYS
from features.plan import promotion_plan
from training.models import candidates
from training.models.histories import Float32s, Histories, Ints, add_up, find_sorted

LEVELS = ("subcategory", "category")
# Customers whose scores are held in memory at once.
BLOCK = 512


@dataclass(frozen=True)
class Group:
    """What customers bought of each group of products (a category): pairs of both."""

    of_product: Ints
    keys: Ints
    values: Mapping[str, Float32s]


@dataclass(frozen=True)
class Block:
    """Candidates of some customers, in the order of customers and products.

    Attributes
    ----------
    rows, cols
        Codes of customers and products.
    scores
        By source, and `own` for the decayed count of a customer's own purchases; NaN where
        a source does not know the product.
    """

    rows: Ints
    cols: Ints
    scores: Mapping[str, Float32s]


@dataclass(frozen=True)
class Ranking:
    """All that ranking at one instant needs; made once, asked block by block."""

    histories: Histories
    sources: list[candidates.Source]
    cols: Ints
    own_limit: int
    product: Mapping[str, Float32s]
    groups: Mapping[str, Group]
    customer: Mapping[str, Float32s]

    @classmethod
    def at(
        cls,
        dataset: Dataset,
        as_of: datetime,
        histories: Histories,
        sources: list[candidates.Source],
        *,
        products: int,
        own_limit: int,
    ) -> "Ranking":
        """Prepare to rank at `as_of`; sources score the `products` most popular."""
        cols = np.sort(histories.most_popular(products))
        fitted = [source.fit(histories, cols) for source in sources]
        groups = {
            level: _group(histories, _levels(dataset, histories, level))
            for level in LEVELS
            if dataset.has("products", level)
        }
        product = {
            **_products(histories),
            **_relative_prices(histories, groups),
            **_plans(dataset, as_of, histories),
        }
        return cls(histories, fitted, cols, own_limit, product, groups, _customers(histories))

    def blocks(self, rows: Ints) -> Iterator[Block]:
        """Yield the candidates of the customers `rows`, some customers at a time."""
        for start in range(0, len(rows), BLOCK):
            yield self._block(rows[start : start + BLOCK])

    def _block(self, rows: Ints) -> Block:
        scores = [source.scores(rows) for source in self.sources]
        limits = [source.limit for source in self.sources]
        positions, products = candidates.collect(
            self.histories, rows, self.cols, scores, limits, self.own_limit
        )
        column = find_sorted(self.cols, products)
        found = {
            source.name: np.where(column >= 0, block[positions, column], np.nan)
            for source, block in zip(self.sources, scores, strict=True)
        }
        codes = rows[positions]
        at = self.histories.find(codes, products)
        own = np.where(at >= 0, self.histories.pairs["decay_basket"][at], 0.0)
        return Block(codes, products, {"own": own.astype(np.float32), **found})

    def features(self, block: Block, keep: NDArray[np.bool_] | None = None) -> pl.DataFrame:
        """Describe a block's candidates, or those to `keep`; ranks are among all of them."""
        keep = np.ones(len(block.rows), bool) if keep is None else keep
        rows, cols = block.rows[keep], block.cols[keep]
        at = self.histories.find(rows, cols)
        found: dict[str, Float32s] = {}
        for name, values in block.scores.items():
            found[f"score_{name}"] = values[keep]
            found[f"rank_{name}"] = ranks(block.rows, values)[keep]
        for name, values in self.histories.pairs.items():
            found[name] = np.where(at >= 0, values[at], np.nan).astype(np.float32)
        found |= {name: values[cols] for name, values in self.product.items()}
        found |= {name: values[rows] for name, values in self.customer.items()}
        found["basket_share"] = found["baskets"] / found["customer_baskets"]
        found["recency_share"] = found["recency_days"] / (found["customer_tenure_days"] + 1)
        for level, group in self.groups.items():
            found |= _affinity(level, group, rows, cols, found)
        return pl.DataFrame(found)

    def reasons(self, block: Block) -> pl.Series:
        """Name what speaks for each candidate: `repeat`, or the source that ranks it highest."""
        names = [source.name for source in self.sources]
        places = np.stack([ranks(block.rows, block.scores[name]) for name in names])
        places[np.stack([np.isnan(block.scores[name]) for name in names])] = np.inf
        words = np.array([source.reason for source in self.sources])
        found = np.where(block.scores["own"] > 0, "repeat", words[np.argmin(places, axis=0)])
        return pl.Series("reason", found.astype(object), dtype=pl.String)


def ranks(rows: Ints, scores: Float32s) -> Float32s:
    """Rank scores within each customer, 0 for the highest; `rows` are ordered."""
    order = np.lexsort((-np.nan_to_num(scores, nan=-1e9), rows))
    starts = np.searchsorted(rows, rows)
    found = np.empty(len(rows), np.float32)
    found[order] = np.arange(len(rows)) - starts
    return found


def _customers(histories: Histories) -> dict[str, Float32s]:
    baskets = histories.customer["customer_baskets"]
    products = np.bincount(histories.rows, minlength=histories.shape[0])
    found = {
        "customer_lines": histories.by_customer("lines") / baskets,
        "customer_products": products,
        "customer_repeat_share": 1 - products / np.maximum(histories.by_customer("baskets"), 1),
        "customer_cadence": histories.customer["customer_tenure_days"] / baskets,
    }
    if "spend" in histories.pairs:
        spend = histories.by_customer("spend")
        found["customer_spend"] = spend / baskets
        if "discount" in histories.pairs:
            found["customer_discount"] = _share(histories.by_customer("discount"), spend)
    return {**histories.customer, **{k: v.astype(np.float32) for k, v in found.items()}}


def _products(histories: Histories) -> dict[str, Float32s]:
    size = histories.shape[1]
    buyers = add_up(histories.cols, np.ones(len(histories.cols)), size)
    again = add_up(histories.cols, histories.pairs["baskets"] > 1, size)
    found = {f"product_{w}d": histories.by_product(f"baskets_{w}d") for w in WINDOW_DAYS}
    found["product_trend"] = found["product_14d"] / (found["product_56d"] / 4 + 1)
    found["product_baskets"] = histories.by_product("baskets")
    found["product_buyers"] = buyers
    found["product_repeat_rate"] = again / (buyers + 5)
    found["product_per_buyer"] = found["product_baskets"] / (buyers + 1)
    gaps = np.nan_to_num(histories.pairs["gap_mean"] * (histories.pairs["baskets"] - 1))
    gap_sum = add_up(histories.cols, gaps, size)
    found["product_gap"] = gap_sum / (found["product_baskets"] - buyers + 1e-3)
    first = np.zeros(size)
    np.maximum.at(first, histories.cols, histories.pairs["first_days"])
    found["product_age_days"] = first
    if "spend" in histories.pairs:
        spend = histories.by_product("spend")
        found["product_price"] = spend / np.maximum(histories.by_product("units"), 1e-3)
        if "discount" in histories.pairs:
            found["product_discount"] = _share(histories.by_product("discount"), spend)
    return {name: values.astype(np.float32) for name, values in found.items()}


def _share(part: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.float64]:
    return part / np.maximum(part + rest, 1e-3)


def _plans(dataset: Dataset, as_of: datetime, histories: Histories) -> dict[str, Float32s]:
    """Lay the promotion calendar out by product: zero where nothing is planned."""
    if "promotions" not in dataset.tables:
        return {}
    plan = promotion_plan(dataset, as_of).collect().to_polars()
    found: dict[str, Float32s] = {}
    for kind in plan.get_column("kind").unique().sort():
        of_kind = plan.filter(pl.col("kind") == kind)
        at = find_sorted(
            histories.products, of_kind.get_column("product_id").to_numpy().astype(str)
        )
        for week in of_kind.drop("product_id", "kind").columns:
            shares = np.zeros(histories.shape[1], np.float32)
            shares[at[at >= 0]] = of_kind.get_column(week).to_numpy()[at >= 0]
            found[f"{kind}_{week}"] = shares
    return found


def _levels(dataset: Dataset, histories: Histories, level: str) -> Ints:
    """Code the group of each product; products without one are a group together."""
    ids = pl.DataFrame({"product_id": histories.products.astype(object)}, {"product_id": pl.String})
    catalogue = dataset.table("products").select("product_id", level).collect().to_polars()
    catalogue = catalogue.unique("product_id", keep="first", maintain_order=True)
    names = ids.join(catalogue, on="product_id", how="left", maintain_order="left")
    codes = names.get_column(level).rank("dense").fill_null(0)
    return codes.cast(pl.Int64).to_numpy()


def _group(histories: Histories, of_product: Ints) -> Group:
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


def _relative_prices(histories: Histories, groups: Mapping[str, Group]) -> dict[str, Float32s]:
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
    level: str, group: Group, rows: Ints, cols: Ints, found: Mapping[str, Float32s]
) -> dict[str, Float32s]:
    """Describe what the customer bought of the candidate's group."""
    size = int(group.of_product.max(initial=0)) + 1
    at = find_sorted(group.keys, rows * size + group.of_product[cols])
    values = {
        f"{level}_{name}": np.where(at >= 0, column[at], np.nan).astype(np.float32)
        for name, column in group.values.items()
    }
    values[f"share_of_{level}"] = found["decay_60d"] / values[f"{level}_decay_60d"]
    return values
