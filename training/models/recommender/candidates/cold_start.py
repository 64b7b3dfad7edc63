"""New products by what they are and how they sell: those whose attributes the customer buys."""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import polars as pl
from scipy import sparse

from features.typing import Ints
from training.models.recommender.candidates.base import RecommenderInputs, Sparse
from training.models.recommender.inputs.interactions import Interactions

# Attributes with more values than this share of the products tell them apart, not alike.
MAX_VALUES_SHARE = 0.5
NOT_ATTRIBUTES = ("product_id", "name")
# New products that are scored, the best sold and most promoted first.
MAX_NEW = 2000


@dataclass
class LookAlikes:
    """Likeness to what a customer buys, times the baskets that a new product was in already.

    Likeness is the cosine of the customer's decayed purchases and the product over catalogue
    attributes. Who buys it says little yet, but how many do says much: on
    the bundled data new products' hit rate is .230, by likeness alone .172 (`foresell evaluate
    recommender`). Without a catalogue there is nothing to compare, and nothing is proposed.
    """

    name: ClassVar[str] = "look_alikes"
    reason: ClassVar[str] = "new"
    limit: int = 20
    tastes_: sparse.csr_matrix = field(init=False, repr=False)
    traits_: sparse.csr_matrix = field(init=False, repr=False)
    fresh_: Ints = field(init=False, repr=False)
    width_: int = field(init=False, repr=False)

    def fit(self, moment: RecommenderInputs, cols: Ints) -> Self:  # noqa: ARG002
        """Lay out the attributes and sales of products, and what customers buy of each."""
        known = moment.known
        self.width_ = known.shape[1]
        traits = _traits(moment)
        sold = np.nan_to_num(known.product["lines_28d"])[known.fresh]
        self.fresh_ = np.sort(known.fresh[np.argsort(-sold, kind="stable")[:MAX_NEW]])
        # A rare attribute says more of likeness than one that half of the products share.
        held = np.asarray(traits.sum(axis=0)).ravel()
        rarity = np.log((1 + traits.shape[0]) / (1 + held))
        weighted = sparse.csr_matrix(traits.multiply(rarity[None, :]), dtype=np.float32)
        bought = known.matrix(known.pairs["decay_60d"])
        self.tastes_ = _unit(sparse.csr_matrix(bought @ weighted))
        # Of what is not sold yet the first basket is counted.
        reach = known.by_product("baskets_28d")[self.fresh_] + 1.0
        scaled = sparse.diags(reach) @ _unit(weighted[self.fresh_])
        self.traits_ = sparse.csr_matrix(scaled.T, dtype=np.float32)
        return self

    def scores(self, rows: Ints) -> Sparse:
        """Compare the customers with the new products, and weigh those by their sales."""
        near = (self.tastes_[rows] @ self.traits_).tocsr()
        near.sort_indices()
        wide = sparse.csr_matrix(
            (near.data, self.fresh_[near.indices], near.indptr), shape=(len(rows), self.width_)
        )
        return Sparse(wide)


def _traits(moment: RecommenderInputs) -> sparse.csr_matrix:
    """Products x values of their attributes, one where a product has the value."""
    known: Interactions = moment.known
    blocks = []
    if "products" in moment.dataset.tables:
        ids = pl.DataFrame({"product_id": known.products.astype(object)}, {"product_id": pl.String})
        catalogue = moment.dataset.table("products").collect().to_polars()
        catalogue = catalogue.unique("product_id", keep="first", maintain_order=True)
        mine = ids.join(catalogue, on="product_id", how="left", maintain_order="left")
        for name in mine.columns:
            column = mine.get_column(name)
            values = column.n_unique()
            if (
                name in NOT_ATTRIBUTES
                or column.dtype != pl.String
                or not 1 < values <= MAX_VALUES_SHARE * mine.height
            ):
                continue
            codes = column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
            has = np.flatnonzero(codes > 0)
            blocks.append(
                sparse.csr_matrix(
                    (np.ones(len(has), np.float32), (has, codes[has] - 1)),
                    shape=(mine.height, int(codes.max(initial=0))),
                )
            )
    if not blocks:
        return sparse.csr_matrix((known.shape[1], 1), dtype=np.float32)
    return sparse.csr_matrix(sparse.hstack(blocks, format="csr"))


def _unit(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, 1e-9)) @ rows, dtype=np.float32)
