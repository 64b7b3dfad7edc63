"""The catalogue of records with few tables and columns."""

from datetime import datetime, timedelta

import numpy as np

from features.dataset import Dataset
from training.models.recommender.index.catalogue import Catalogue

AS_OF = datetime(2024, 6, 3)


def test_records_without_products_table_or_revenue_have_a_catalogue(shop):
    rows = [(f"c{n % 5}", f"o{n}", f"p{n % 7}", n % 50 + 1, "x") for n in range(200)]
    orders = shop(rows, AS_OF).table("orders").to_native().drop("revenue")
    dataset = Dataset.from_frames("bare", {"orders": orders})
    products = Catalogue.build(dataset, AS_OF + timedelta(days=1))
    assert products.size == 7
    assert (products.categories == -1).all()
    assert np.isnan(products.price).all()
