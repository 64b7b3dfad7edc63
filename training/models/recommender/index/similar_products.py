"""Substitutes: products similar by attributes and by common buyers.

Catalogue and purchases in; for each product its most similar products out. Products without
purchases are compared by attributes alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl
from scipy import sparse

from features.dataset import Dataset
from features.returns import net_purchases
from features.typing import Float32s, Floats, Int32s, Ints
from training.models.recommender.index.catalogue import SIMILARITY_BY_LEVEL, Catalogue
from training.models.recommender.inputs.top_k import at_least_kth_largest, group_boundaries
from training.published import arrays

NEIGHBOURS = 20
# Products with the most buyers, which are compared by common buyers.
MOST_COMPARED = 5000
# Best-selling products of a category that its other products are compared with.
MOST_OF_CATEGORY = 200
# Neighbours of a product without purchases.
NEIGHBOURS_UNSOLD = 8
# Shrinkage: with this many buyers, the similarity by common buyers counts half.
PRIOR_BUYERS = 10.0
# Weights of common attributes, besides `SIMILARITY_BY_LEVEL`, and of common buyers.
BRAND, PRICE, NAME = 0.15, 0.25, 0.25
BY_BUYERS = 0.5
BLOCK = 1000


@dataclass(frozen=True)
class SimilarProducts(arrays.StoredArrays):
    """Neighbours by product, the most similar first.

    Attributes
    ----------
    ends
        Offsets: the neighbours of product code p are `[ends[p], ends[p + 1])`.
    neighbour
        Product codes.
    similarity
        0 to 1.
    """

    prefix: ClassVar[str] = "similar"

    ends: Ints
    neighbour: Int32s
    similarity: Float32s

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Compare products of the same category, and products with common buyers."""
        buyers = _buyers(dataset, as_of, catalogue)
        attributes = _Attributes.from_catalogue(catalogue)
        pairs = [_pairs_by_common_buyers(buyers), *_pairs_by_category(catalogue)]
        i = np.concatenate([pair[0] for pair in pairs])
        j = np.concatenate([pair[1] for pair in pairs])
        keys = np.sort(i.astype(np.int64) * catalogue.size + j)
        keys = keys[np.diff(keys, prepend=-1) > 0]
        keys = keys[~catalogue.discontinued[keys % catalogue.size]]
        i, j = keys // catalogue.size, keys % catalogue.size
        similarity = attributes.similarity(i, j) + BY_BUYERS * _cosine(buyers, i, j)
        similarity = similarity / (attributes.maximum + BY_BUYERS)
        near = at_least_kth_largest(i, similarity, NEIGHBOURS, catalogue.size)
        i, j, similarity = i[near], j[near], similarity[near]
        order = np.lexsort((j, -catalogue.share[j], -similarity, i))
        i, j, similarity = i[order], j[order], similarity[order]
        keep = np.arange(len(i)) - group_boundaries(i, catalogue.size)[i] < NEIGHBOURS
        return cls(
            group_boundaries(i[keep], catalogue.size),
            j[keep].astype(np.int32),
            similarity[keep].astype(np.float32),
        )

    def neighbours(self, code: int) -> tuple[Int32s, Float32s]:
        """Return a product's neighbours and their similarities."""
        span = slice(int(self.ends[code]), int(self.ends[code + 1]))
        return self.neighbour[span], self.similarity[span]


@dataclass(frozen=True)
class _Attributes:
    """Attributes of products by code; None for those that the dataset lacks."""

    groups: list[tuple[float, Int32s]]
    brand: Int32s | None
    log_price: Float32s | None
    words: sparse.csr_matrix | None

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Self:
        frame = catalogue.frame
        brand = None
        if "brand" in frame.columns:
            brand = frame.get_column("brand").rank("dense").cast(pl.Int32).fill_null(-1).to_numpy()
        price = catalogue.price
        has_price = np.isfinite(price).any()
        return cls(
            [(SIMILARITY_BY_LEVEL[level], codes) for level, codes in catalogue.groups.items()],
            brand,
            np.log(np.maximum(price, 1e-2)) if has_price else None,
            _words(catalogue) if "name" in frame.columns else None,
        )

    @property
    def maximum(self) -> float:
        """Similarity of a product to itself."""
        total = max((weight for weight, _ in self.groups), default=0.0)
        for weight, values in ((BRAND, self.brand), (PRICE, self.log_price), (NAME, self.words)):
            total += weight if values is not None else 0.0
        return total

    def similarity(self, i: Int32s, j: Int32s) -> Floats:
        """Sum the weights of common attributes of pairs; of the groups, the finest counts."""
        total = np.zeros(len(i))
        for weight, group in self.groups:
            total = np.maximum(total, weight * ((group[i] == group[j]) & (group[i] >= 0)))
        if self.brand is not None:
            total += BRAND * ((self.brand[i] == self.brand[j]) & (self.brand[i] >= 0))
        if self.log_price is not None:
            difference = np.nan_to_num(np.abs(self.log_price[i] - self.log_price[j]), nan=1.0)
            total += PRICE * np.exp(-2 * difference)
        if self.words is not None:
            total += NAME * _cosine(self.words, i, j)
        return total


def _words(catalogue: Catalogue) -> sparse.csr_matrix:
    """Return a matrix of products by words of their names: IDF weights, rows of unit length."""
    names = pl.DataFrame({"name": catalogue.names}, {"name": pl.String}).with_row_index("code")
    words = (
        names.with_columns(pl.col("name").fill_null("").str.to_lowercase())
        .with_columns(pl.col("name").str.extract_all(r"[\p{L}\p{N}]{2,}").alias("word"))
        .explode("word")
        .drop_nulls("word")
        .unique(["code", "word"])
    )
    vocabulary = (
        words.group_by("word").len().filter(pl.col("len") > 1).sort("word").with_row_index("column")
    )
    words = words.join(vocabulary, on="word").sort("code", "column")
    weight = np.log(catalogue.size / words.get_column("len").to_numpy())
    return _unit_rows(
        sparse.csr_matrix(
            (weight, (words.get_column("code").to_numpy(), words.get_column("column").to_numpy())),
            shape=(catalogue.size, vocabulary.height),
        )
    )


def _buyers(dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> sparse.csr_matrix:
    """Return a matrix of products by customers; rows have unit length, less with few buyers."""
    position = pl.Enum(catalogue.frame.get_column("product_id"))
    pairs = (
        net_purchases(dataset, as_of)
        .filter(~nw.col("product_id").is_null(), ~nw.col("customer_id").is_null())
        .select("product_id", "customer_id")
        .unique()
        .collect()
        .to_polars()
        .with_columns(
            pl.col("product_id").cast(position).to_physical().cast(pl.Int64),
            (pl.col("customer_id").rank("dense") - 1).cast(pl.Int64),
        )
        .sort("product_id", "customer_id")
    )
    customers = pairs.get_column("customer_id")
    # A customer who buys many products says little about each of them, so counts less.
    breadth = np.bincount(customers.to_numpy())
    matrix = sparse.csr_matrix(
        (
            1 / np.log(2 + breadth[customers.to_numpy()]),
            (pairs.get_column("product_id").to_numpy(), customers.to_numpy()),
        ),
        shape=(catalogue.size, len(breadth)),
    )
    buyers = np.diff(matrix.indptr)
    return sparse.diags(np.sqrt(buyers / (buyers + PRIOR_BUYERS))) @ _unit_rows(matrix)


def _unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1))).ravel()
    return (sparse.diags(1 / np.maximum(lengths, 1e-9)) @ matrix).tocsr()


def _cosine(rows: sparse.csr_matrix, i: Int32s, j: Int32s) -> Floats:
    parts = [
        np.asarray(rows[i[start : start + 50_000]].multiply(rows[j[start : start + 50_000]]).sum(1))
        for start in range(0, len(i), 50_000)
    ]
    return np.concatenate(parts).ravel() if parts else np.zeros(0)


def _pairs_by_category(catalogue: Catalogue) -> list[tuple[Int32s, Int32s]]:
    """Pair each product with the best-selling products of its category.

    Products without sales are paired with fewer of them.
    """
    categories = catalogue.categories
    buyers = catalogue.frame.get_column("buyers").to_numpy()
    order = np.lexsort((-buyers, categories))
    order = order[categories[order] >= 0]
    pairs = []
    for members in np.split(order, np.flatnonzero(np.diff(categories[order])) + 1):
        top = members[:NEIGHBOURS]
        sold = members[buyers[members] > 0]
        unsold = members[len(sold) :]
        pairs.append((np.repeat(sold, len(top)), np.tile(top, len(sold))))
        best = top[:NEIGHBOURS_UNSOLD]
        pairs.append((np.repeat(unsold, len(best)), np.tile(best, len(unsold))))
        # The best-selling products are compared with more of their category.
        more = members[len(top) : MOST_OF_CATEGORY]
        pairs.append((np.repeat(top, len(more)), np.tile(more, len(top))))
    return [(i[i != j], j[i != j]) for i, j in pairs]


def _pairs_by_common_buyers(buyers: sparse.csr_matrix) -> tuple[Int32s, Int32s]:
    """Pair frequently bought products with those of the most similar buyers."""
    counts = np.diff(buyers.indptr)
    frequent = np.argsort(-counts, kind="stable")[:MOST_COMPARED]
    frequent = np.sort(frequent[counts[frequent] >= PRIOR_BUYERS])
    rows = buyers[frequent].astype(np.float32)
    none = np.zeros(0, np.int64)
    products, neighbours = [none], [none]
    for start in range(0, len(frequent), BLOCK):
        similarity = (rows[start : start + BLOCK] @ rows.T).toarray()
        limit = min(NEIGHBOURS + 1, similarity.shape[1])
        top = np.argpartition(-similarity, limit - 1, axis=1)[:, :limit]
        i = np.repeat(frequent[start : start + BLOCK], limit)
        j = frequent[top.ravel()]
        products.append(i[i != j])
        neighbours.append(j[i != j])
    return np.concatenate(products), np.concatenate(neighbours)
