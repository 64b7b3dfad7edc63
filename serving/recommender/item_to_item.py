"""Lists about products: similar products, products bought together, likely buyers.

An index and products in; items of an answer out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.errors import NotFound
from features.typing import Floats
from serving.recommender.query import Filters
from serving.recommender.rerank import Slate, rerank
from training.models.recommender.index.association import BasketPartners
from training.models.recommender.index.index import RecommenderIndex


def product_code(index: RecommenderIndex, product_id: str, field: str) -> int:
    """Return a product's code.

    Raises
    ------
    NotFound
        If the product is not in the catalogue and was never sold.
    """
    code = index.catalogue.codes.get(product_id)
    if code is None:
        raise NotFound(
            f"{field} = {product_id!r} is not in the catalogue and was never sold; leave it out.",
            field=field,
        )
    return code


def similar(
    index: RecommenderIndex,
    product_id: str,
    k: int,
    filters: Filters,
    field: str = "product_id",
) -> dict[str, Any]:
    """List substitutes of a product, the most similar first; `field` names it in errors."""
    code = product_code(index, product_id, field)
    neighbours, similarity = index.similar.neighbours(code)
    shown = np.flatnonzero(filters.allowed(index.catalogue)[neighbours])[:k].tolist()
    has_buyers = int(index.catalogue.frame.item(code, "buyers")) > 0
    return {
        "product_id": product_id,
        "basis": "history" if has_buyers else "attributes",
        "items": [
            {"rank": rank, **id_and_name(index, int(neighbours[i])), "score": float(similarity[i])}
            for rank, i in enumerate(shown, 1)
        ],
    }


def bought_together(
    index: RecommenderIndex, basket: Sequence[str], k: int, filters: Filters
) -> dict[str, Any]:
    """List products associated with those of a basket, in descending order of probability.

    The list is empty if there is no significant association.
    """
    codes = np.unique(
        [product_code(index, product, f"product_ids[{i}]") for i, product in enumerate(basket)]
    )
    partners = index.association.basket_partners(codes)
    scores = basket_probabilities(index, partners)
    allowed = filters.allowed(index.catalogue)
    allowed[codes] = False
    slate = Slate(k, allow_adjacent_category=True)
    chosen = rerank(partners.codes, scores, allowed, index.catalogue, slate)
    association = index.association
    items = []
    for rank, i in enumerate(chosen, 1):
        pair = int(partners.pair[i])
        items.append(
            {
                "rank": rank,
                **id_and_name(index, int(partners.codes[i])),
                "score": float(scores[i]),
                "with_product_id": index.catalogue.ids[int(partners.strongest[i])],
                "lift": float(association.lift[pair]),
                "support": float(association.support[pair]),
                "confidence": float(association.confidence[pair]),
            }
        )
    return {"product_ids": list(basket), "basis": "baskets", "items": items}


def basket_probabilities(index: RecommenderIndex, partners: BasketPartners) -> Floats:
    """Estimate the probability that a basket also holds each partner: popularity times lift."""
    share = np.maximum(index.popular.share[partners.codes], 1e-6)
    return np.minimum(share.astype(np.float64) * np.exp(partners.weight), 1.0)


def customers_for(
    index: RecommenderIndex, product_id: str, k: int, field: str = "product_id"
) -> dict[str, Any]:
    """List the customers likeliest to buy a product within the horizon; as `similar`."""
    code = product_code(index, product_id, field)
    buyers = index.buyers
    span = buyers.span(code)
    columns = (buyers.customer, buyers.probability, buyers.bought_before)
    rows = zip(*(values[span][:k] for values in columns), strict=True)
    customers = [
        {
            "rank": rank,
            "customer_id": index.customer_ids[int(row)],
            "score": float(probability),
            "bought_before": bool(bought_before),
        }
        for rank, (row, probability, bought_before) in enumerate(rows, 1)
    ]
    is_discontinued = bool(index.catalogue.discontinued[code])
    basis = "discontinued" if is_discontinued else "history" if customers else "none"
    return {
        "product_id": product_id,
        "basis": basis,
        "customers": customers,
    }


def id_and_name(index: RecommenderIndex, code: int) -> dict[str, str]:
    """Return a product's id, and its name if it has one."""
    name = index.catalogue.names[code]
    return {"product_id": index.catalogue.ids[code], **({"name": name} if name else {})}
