"""The catalogue's levels as codes by product; used by ranking features and sources."""

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Ints
from training.models.recommender.inputs.interactions import Interactions

# From fine to coarse.
LEVELS = ("subcategory", "category")


def level_of(dataset: Dataset, known: Interactions, level: str) -> Ints:
    """Code the group of each product; products without one are a group together, 0."""
    ids = pl.DataFrame({"product_id": known.products.astype(object)}, {"product_id": pl.String})
    catalogue = dataset.table("products").select("product_id", level).collect().to_polars()
    catalogue = catalogue.unique("product_id", keep="first", maintain_order=True)
    names = ids.join(catalogue, on="product_id", how="left", maintain_order="left")
    codes = names.get_column(level).rank("dense").fill_null(0)
    return codes.cast(pl.Int64).to_numpy()


def kinds_of(dataset: Dataset, known: Interactions) -> Ints:
    """Code each product's kind, at the finest level there is; 0 for all without a catalogue."""
    for level in LEVELS:
        if dataset.has("products", level):
            return level_of(dataset, known, level)
    return np.zeros(known.shape[1], np.int64)
