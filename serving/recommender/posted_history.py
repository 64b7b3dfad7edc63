"""A list for a customer who comes with their own orders, known to the records or not.

Posted orders and a shelf in; candidates with scores out, as the published ones have them. No
ranker speaks: what was bought is weighed by how often and lately, as the features of training
have it, and by this week's promotions; what is new by how popular it is, the more so the more
the customer buys of its kind and of what it is bought together with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.dataset import Dataset
from features.interactions.builder import baskets, interactions
from features.typing import Floats, Int32s
from training.models.recommender.index.candidate_store import Candidates
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.ranking.attribution import GROUP_OF_REASON

# The square root of how much more a promotion sells ranks best: on the bundled data .215 NDCG of
# the next basket, against .209 without and .200 with all of it.
OF_PROMOTION = 0.5
# So far the customer's taste for a kind counts: .036 of ten new products were bought, against
# .034 of the most popular.
OF_KIND = 0.25
# Baskets' worth of the average customer that a taste for kinds begins with.
PRIOR = 2.0
MOST_NEW = 300

SOURCES = ("repeat", "popular", "same_kind")
PAIR = ("baskets", "decay_basket", "recency_days", "gap_mean")


@dataclass(frozen=True)
class Posted:
    """One customer's orders up to an instant.

    Attributes
    ----------
    baskets
        How many there are.
    bought
        One row a product: product_id and the features `PAIR`.
    location_id
        Where the last was bought, if that was said.
    """

    baskets: int
    bought: pl.DataFrame
    location_id: str | None


def read(orders: pl.DataFrame, as_of: datetime) -> dict[str, Posted]:
    """Describe each customer's orders, by customer_id.

    Parameters
    ----------
    orders
        The canonical table, null where a thing was not said.
    """
    table = nw.from_native(orders.drop_nulls("product_id").lazy())
    dataset = Dataset("posted", "posted", {"orders": table})
    pairs = interactions(dataset, as_of).select("customer_id", "product_id", *PAIR)
    bought = pairs.sort("customer_id", "product_id").collect().to_polars()
    counts = baskets(dataset, as_of).collect().to_polars().group_by("customer_id").len()
    last = orders.drop_nulls("location_id").sort("ts").group_by("customer_id").last()
    places = dict(last.select("customer_id", "location_id").iter_rows())
    number = dict(counts.iter_rows())
    return {
        str(customer): Posted(number[customer], rows, places.get(customer))
        for (customer,), rows in bought.group_by("customer_id")
    }


def candidates(
    shelf: RecommenderIndex, posted: Posted, at: datetime, location_id: str | None
) -> Candidates:
    """Weigh what a customer bought, and what goes with it, for a moment and a place.

    Products of which the shelf knows nothing are left out.
    """
    ranked = shelf.ranked
    rows = [ranked.product_codes.get(one, -1) for one in posted.bought.get_column("product_id")]
    known = np.array(rows, np.int64) >= 0
    own = np.array(rows, np.int64)[known]
    state = {
        name: posted.bought.get_column(name).fill_null(np.nan).to_numpy()[known] for name in PAIR
    }
    new, wanted, liked = _new(shelf, shelf.code_of_row[own], state["decay_basket"])
    cols = np.concatenate([own, new])
    is_own = np.arange(len(cols)) < len(own)
    nothing = np.full(len(new), np.nan)
    features: dict[str, Any] = {
        name: np.concatenate([values, nothing]).astype(np.float32) for name, values in state.items()
    }
    features |= _promotions(shelf, cols, to_day(at), location_id or posted.location_id)
    often = state["decay_basket"] * (1.0 + worth(features, len(cols))[is_own]) ** OF_PROMOTION
    chance = np.concatenate([often / (1.0 + often), wanted])
    repeat, popular, same_kind = (shelf.ranked.reasons.index(one) for one in SOURCES)
    source = np.concatenate([np.full(len(own), repeat), np.where(liked, same_kind, popular)])
    by_kind = {"now": chance, "month": chance, "explore": np.where(is_own, np.nan, chance)}
    nothing_laid = np.zeros((len(cols), 0), np.float32)
    return Candidates(-1, cols, by_kind, is_own, source.astype(np.int8), features, nothing_laid)


def motives(
    shelf: RecommenderIndex, found: Candidates, at: NDArray[np.int64]
) -> list[tuple[str, ...]]:
    """Name what speaks for some of the candidates."""
    promoted = worth(found.features, len(found.products)) > 0
    said: list[tuple[str, ...]] = []
    for one in at.tolist():
        motive = GROUP_OF_REASON[shelf.ranked.reasons[int(found.source[one])]]
        offer = found.own[one] and promoted[one]
        said.append((motive, "promotion") if offer else (motive,))
    return said


def worth(features: Mapping[str, NDArray[Any]], size: int) -> Floats:
    """How much more each candidate sells for being promoted where and when it is shown."""
    kinds = [values for name, values in features.items() if name.endswith("_uplift")]
    return np.asarray(np.max([np.zeros(size), *kinds], axis=0), np.float64)


def _new(
    shelf: RecommenderIndex, codes: Int32s, often: Floats
) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]:
    """Find popular products that go with what a customer buys, which they never bought.

    Returns
    -------
    tuple
        Rows of what is ranked, the chance of each, and whether its kind is bought more than
        others buy it.
    """
    kinds, share = shelf.catalogue.kinds + 1, shelf.popular.share.astype(np.float64)
    size = int(kinds.max(initial=0)) + 1
    usual = np.bincount(kinds, weights=share, minlength=size)
    usual = usual / max(usual.sum(), 1e-9)
    mine = np.bincount(kinds[codes], weights=often, minlength=size)
    lift = (mine + PRIOR * usual) / ((mine.sum() + PRIOR) * np.maximum(usual, 1e-9))
    # Products without a kind are of none.
    lift[0] = 1.0
    # What goes with it adds a tenth to the new products that are bought: .040 of ten, from .036.
    score = share * lift[kinds] ** OF_KIND * (1.0 + shelf.association.of_all(codes))
    score[codes] = 0.0
    best = np.lexsort((np.arange(len(score)), -score))[:MOST_NEW]
    row = np.array([shelf.ranked.product_codes.get(shelf.catalogue.ids[one], -1) for one in best])
    kept = (row >= 0) & (score[best] > 0)
    return (
        row[kept].astype(np.int64),
        np.minimum(score[best][kept], 0.999),
        lift[kinds[best]][kept] > 1,
    )


def _promotions(
    shelf: RecommenderIndex, cols: NDArray[np.int64], day: int, location_id: str | None
) -> dict[str, Any]:
    place = -1 if location_id is None else shelf.ranked.locations.get(location_id, -1)
    where = np.full((len(cols), 1), place, np.int64)
    weights = np.ones((len(cols), 1), np.float32)
    return shelf.ranked.plan.exposure(where, weights, cols, day)
