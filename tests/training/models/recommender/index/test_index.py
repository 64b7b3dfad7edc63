"""The tables of products do not depend on later orders."""

from datetime import datetime

import numpy as np
import polars as pl

from training.models.recommender.index.association import Association
from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.popularity import PopularProducts
from training.models.recommender.index.similar_products import SimilarProducts

AS_OF = datetime(2024, 6, 3)


def test_later_orders_do_not_change_tables_of_products(shop):
    rng = np.random.default_rng(5)
    rows = [
        (f"c{rng.integers(40)}", f"o{n}", f"p{rng.integers(30)}", int(rng.integers(1, 90)), "x")
        for n in range(3000)
    ]
    later = [(f"c{n}", f"l{n}", f"p{n % 30}", -1 - n % 9, "x") for n in range(500)]
    past, more = shop(rows, AS_OF), shop(rows + later, AS_OF)
    for build in (
        lambda dataset, products: products.frame,
        lambda dataset, products: PopularProducts.build(dataset, AS_OF, products).top,
        lambda dataset, products: Association.build(dataset, AS_OF, products).partner,
        lambda dataset, products: SimilarProducts.build(dataset, AS_OF, products).neighbour,
    ):
        one, other = (build(data, Catalogue.build(data, AS_OF)) for data in (past, more))
        same = one.equals(other) if isinstance(one, pl.DataFrame) else np.array_equal(one, other)
        assert same
