"""Which products can stand for each other: alike by what they are, and by who buys them.

Catalogue and purchases in; for each product its look-alikes out. A product that nobody has
bought yet is found by what it is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from features.dataset import Dataset
from features.typing import Float32s, Int32s
from training.models.recommender.index.catalogue import SIMILARITY_BY_LEVEL, Catalogue
from training.models.recommender.inputs.top_k import at_least_kth_largest, group_boundaries
from training.published import arrays

NEIGHBOURS = 20
# Products with the most buyers, that are compared by them.
MOST_COMPARED = 5000
# Look-alikes of one kind are sought among the best-selling of it.
MOST_OF_A_KIND = 200
# Look-alikes of a product that nobody bought.
FEWER = 8
# Customers who bought a product before its likeness to others is believed by half.
PRIOR_BUYERS = 10.0
# What a common trait is worth, besides the groups of the assortment.
BRAND, PRICE, NAME = 0.15, 0.25, 0.25
BY_BUYERS = 0.5
BLOCK = 1000


@dataclass(frozen=True)
class Similar(arrays.StoredArrays):
    """Look-alikes of each product, the most alike first.

    Attributes
    ----------
    ends
        Where each product's look-alikes end, with a zero in front.
    other
        The look-alikes.
    likeness
        0 to 1.
    """

    prefix: ClassVar[str] = "similar"

    ends: NDArray[np.int64]
    other: Int32s
    likeness: Float32s

    @classmethod
    def build(cls, dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> Self:
        """Compare products of a kind, and products with common buyers."""
        bought = _buyers(dataset, as_of, catalogue)
        traits = _Traits.of(catalogue)
        pairs = [_with_common_buyers(bought), *_of_a_kind(catalogue)]
        i = np.concatenate([pair[0] for pair in pairs])
        j = np.concatenate([pair[1] for pair in pairs])
        keys = np.sort(i.astype(np.int64) * catalogue.size + j)
        keys = keys[np.diff(keys, prepend=-1) > 0]
        i, j = keys // catalogue.size, keys % catalogue.size
        likeness = traits.likeness(i, j) + BY_BUYERS * _cosine(bought, i, j)
        likeness = likeness / (traits.most + BY_BUYERS)
        near = at_least_kth_largest(i, likeness, NEIGHBOURS, catalogue.size)
        i, j, likeness = i[near], j[near], likeness[near]
        order = np.lexsort((j, -catalogue.share[j], -likeness, i))
        i, j, likeness = i[order], j[order], likeness[order]
        keep = np.arange(len(i)) - group_boundaries(i, catalogue.size)[i] < NEIGHBOURS
        return cls(
            group_boundaries(i[keep], catalogue.size),
            j[keep].astype(np.int32),
            likeness[keep].astype(np.float32),
        )

    def of(self, code: int) -> tuple[Int32s, Float32s]:
        """Return a product's look-alikes with how alike they are."""
        part = slice(int(self.ends[code]), int(self.ends[code + 1]))
        return self.other[part], self.likeness[part]


@dataclass(frozen=True)
class _Traits:
    """What is known of products besides who buys them."""

    groups: list[tuple[float, Int32s]]
    brand: Int32s | None
    log_price: Float32s | None
    words: sparse.csr_matrix | None

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        frame = catalogue.frame
        brand = None
        if "brand" in frame.columns:
            brand = frame.get_column("brand").rank("dense").cast(pl.Int32).fill_null(-1).to_numpy()
        price = catalogue.price
        known = np.isfinite(price).any()
        return cls(
            [(SIMILARITY_BY_LEVEL[level], of) for level, of in catalogue.groups.items()],
            brand,
            np.log(np.maximum(price, 1e-2)) if known else None,
            _words(catalogue) if "name" in frame.columns else None,
        )

    @property
    def most(self) -> float:
        """The likeness of a product to itself."""
        found = max((worth for worth, _ in self.groups), default=0.0)
        for worth, trait in ((BRAND, self.brand), (PRICE, self.log_price), (NAME, self.words)):
            found += worth if trait is not None else 0.0
        return found

    def likeness(self, i: Int32s, j: Int32s) -> NDArray[np.float64]:
        """Add up what pairs have in common; the finest common group counts."""
        found = np.zeros(len(i))
        for worth, of in self.groups:
            found = np.maximum(found, worth * ((of[i] == of[j]) & (of[i] >= 0)))
        if self.brand is not None:
            found += BRAND * ((self.brand[i] == self.brand[j]) & (self.brand[i] >= 0))
        if self.log_price is not None:
            apart = np.nan_to_num(np.abs(self.log_price[i] - self.log_price[j]), nan=1.0)
            found += PRICE * np.exp(-2 * apart)
        if self.words is not None:
            found += NAME * _cosine(self.words, i, j)
        return found


def _words(catalogue: Catalogue) -> sparse.csr_matrix:
    """Lay names out as words, weighted by how rare they are, at unit length."""
    names = pl.DataFrame({"name": catalogue.names}, {"name": pl.String}).with_row_index("code")
    words = (
        names.with_columns(pl.col("name").fill_null("").str.to_lowercase())
        .with_columns(pl.col("name").str.extract_all(r"[\p{L}\p{N}]{2,}").alias("word"))
        .explode("word")
        .drop_nulls("word")
        .unique(["code", "word"])
    )
    rare = words.group_by("word").len().filter(pl.col("len") > 1).sort("word").with_row_index("at")
    words = words.join(rare, on="word").sort("code", "at")
    weight = np.log(catalogue.size / words.get_column("len").to_numpy())
    return _unit_rows(
        sparse.csr_matrix(
            (weight, (words.get_column("code").to_numpy(), words.get_column("at").to_numpy())),
            shape=(catalogue.size, rare.height),
        )
    )


def _buyers(dataset: Dataset, as_of: datetime, catalogue: Catalogue) -> sparse.csr_matrix:
    """Products x customers at unit length; what few bought is shorter than that."""
    position = pl.Enum(catalogue.frame.get_column("product_id"))
    pairs = (
        dataset.known("orders", as_of)
        .filter(
            nw.col("kind") == "sale",
            ~nw.col("product_id").is_null(),
            ~nw.col("customer_id").is_null(),
        )
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
    # Who buys everything says little about each: weighted by the log of how rare that is.
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


def _cosine(rows: sparse.csr_matrix, i: Int32s, j: Int32s) -> NDArray[np.float64]:
    parts = [
        np.asarray(rows[i[start : start + 50_000]].multiply(rows[j[start : start + 50_000]]).sum(1))
        for start in range(0, len(i), 50_000)
    ]
    return np.concatenate(parts).ravel() if parts else np.zeros(0)


def _of_a_kind(catalogue: Catalogue) -> list[tuple[Int32s, Int32s]]:
    """Pair each product with the best-selling of its kind; without sales with the first."""
    kinds = catalogue.kinds
    buyers = catalogue.frame.get_column("buyers").to_numpy()
    order = np.lexsort((-buyers, kinds))
    order = order[kinds[order] >= 0]
    found = []
    for members in np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1):
        top = members[:NEIGHBOURS]
        sold = members[buyers[members] > 0]
        unsold = members[len(sold) :]
        found.append((np.repeat(sold, len(top)), np.tile(top, len(sold))))
        found.append((np.repeat(unsold, len(top[:FEWER])), np.tile(top[:FEWER], len(unsold))))
        # The best-selling have more of their kind to choose from.
        more = members[len(top) : MOST_OF_A_KIND]
        found.append((np.repeat(top, len(more)), np.tile(more, len(top))))
    return [(i[i != j], j[i != j]) for i, j in found]


def _with_common_buyers(bought: sparse.csr_matrix) -> tuple[Int32s, Int32s]:
    """Pair each product that is bought with those that most of the same customers buy."""
    buyers = np.diff(bought.indptr)
    often = np.argsort(-buyers, kind="stable")[:MOST_COMPARED]
    often = np.sort(often[buyers[often] >= PRIOR_BUYERS])
    among = bought[often].astype(np.float32)
    found_i, found_j = [], []
    for start in range(0, len(often), BLOCK):
        near = (among[start : start + BLOCK] @ among.T).toarray()
        limit = min(NEIGHBOURS + 1, near.shape[1])
        top = np.argpartition(-near, limit - 1, axis=1)[:, :limit]
        i = np.repeat(often[start : start + BLOCK], limit)
        j = often[top.ravel()]
        found_i.append(i[i != j])
        found_j.append(j[i != j])
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *found_i]), np.concatenate([none, *found_j])
