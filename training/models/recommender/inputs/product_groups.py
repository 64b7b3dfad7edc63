"""Levels of the product catalogue as group codes by product.

The `products` table in; one group code per product out.
"""

import polars as pl

from features.dataset import Dataset
from features.typing import Ints
from training.models.recommender.inputs.interactions import Interactions

# From fine to coarse.
LEVELS = ("subcategory", "category")


def group_codes(dataset: Dataset, interactions: Interactions, level: str) -> Ints:
    """Code each product's group at a level; 0 for products without a group."""
    ids = pl.Series("product_id", interactions.products.astype(object), pl.String).to_frame()
    catalogue = dataset.table("products").select("product_id", level).collect().to_polars()
    catalogue = catalogue.unique("product_id", keep="first", maintain_order=True)
    names = ids.join(catalogue, on="product_id", how="left", maintain_order="left")
    codes = names.get_column(level).rank("dense").fill_null(0)
    return codes.cast(pl.Int64).to_numpy()
