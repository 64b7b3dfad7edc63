"""Lists about products: what is alike, what goes together, and who will buy.

A shelf and products in, items out; serving and batch both ask here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.errors import NotFound
from features.typing import Floats
from serving.recommender.query import Filters
from serving.recommender.rerank import Layout, arrange
from training.models.recommender.index.association import Towards
from training.models.recommender.index.index import RecommenderIndex


def known(shelf: RecommenderIndex, product_id: str, field: str) -> int:
    """Return a product's code.

    Raises
    ------
    NotFound
        If the product is not in the catalogue and was never sold.
    """
    code = shelf.catalogue.codes.get(product_id)
    if code is None:
        raise NotFound(
            f"{field} = {product_id!r} is not in the catalogue and was never sold; leave it out.",
            field=field,
        )
    return code


def similar(shelf: RecommenderIndex, product_id: str, k: int, filters: Filters) -> dict[str, Any]:
    """List what can stand for a product, the most alike first."""
    code = known(shelf, product_id, "product_id")
    others, likeness = shelf.similar.of(code)
    shown = np.flatnonzero(filters.allowed(shelf.catalogue)[others])[:k].tolist()
    bought = int(shelf.catalogue.frame.item(code, "buyers")) > 0
    return {
        "product_id": product_id,
        "basis": "history" if bought else "attributes",
        "items": [
            {"rank": rank, **named(shelf, int(others[at])), "score": float(likeness[at])}
            for rank, at in enumerate(shown, 1)
        ],
    }


def together(
    shelf: RecommenderIndex, basket: Sequence[str], k: int, filters: Filters
) -> dict[str, Any]:
    """List what is bought with the products of a basket, the likeliest to be wanted first.

    Only what goes with them significantly: where nothing does, the list is empty.
    """
    codes = np.unique([known(shelf, one, f"product_ids[{at}]") for at, one in enumerate(basket)])
    found = shelf.association.towards(codes)
    scores = completing(shelf, found)
    allowed = filters.allowed(shelf.catalogue)
    allowed[codes] = False
    layout = Layout(k, allow_adjacent_category=True)
    chosen = arrange(found.codes, scores, allowed, shelf.catalogue, layout)
    association = shelf.association
    items = []
    for rank, at in enumerate(chosen, 1):
        pair = int(found.pair[at])
        items.append(
            {
                "rank": rank,
                **named(shelf, int(found.codes[at])),
                "score": float(scores[at]),
                "with_product_id": shelf.catalogue.ids[int(found.speaker[at])],
                "lift": float(association.lift[pair]),
                "support": float(association.support[pair]),
                "confidence": float(association.confidence[pair]),
            }
        )
    return {"product_ids": list(basket), "basis": "baskets", "items": items}


def completing(shelf: RecommenderIndex, found: Towards) -> Floats:
    """Estimate the chance that the basket's owner wants each product too: share times lift."""
    share = np.maximum(shelf.popular.share[found.codes], 1e-6)
    return np.minimum(share.astype(np.float64) * np.exp(found.weight), 1.0)


def customers_for(shelf: RecommenderIndex, product_id: str, k: int) -> dict[str, Any]:
    """List the customers likeliest to buy a product within the horizon."""
    code = known(shelf, product_id, "product_id")
    buyers = shelf.buyers
    span = buyers.span(code)
    columns = (buyers.customer[span][:k], buyers.chance[span][:k], buyers.again[span][:k])
    customers = [
        {
            "rank": rank,
            "customer_id": shelf.customer_ids[int(row)],
            "score": float(chance),
            "bought_before": bool(again),
        }
        for rank, (row, chance, again) in enumerate(zip(*columns, strict=True), 1)
    ]
    return {
        "product_id": product_id,
        "basis": "history" if customers else "none",
        "customers": customers,
    }


def named(shelf: RecommenderIndex, code: int) -> dict[str, str]:
    """Give a product's id, and its name where it has one."""
    name = shelf.catalogue.names[code]
    return {"product_id": shelf.catalogue.ids[code], **({"name": name} if name else {})}
