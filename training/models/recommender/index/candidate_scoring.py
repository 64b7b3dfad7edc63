"""Score the candidates of customers for a day, a location and recent purchases.

A candidate store and a context in; probabilities by list, and the contributions of reason groups
to them, out. Imported by serving.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.calendar import to_day
from features.typing import Bools, Float32s, Floats, Ints
from training.models.recommender.index.candidate_store import CandidateStore
from training.models.recommender.ranking.context_features import (
    RepurchaseHazards,
    add_purchases,
    advance_days,
    context_features,
    feature_matrix,
    remaining_need,
)
from training.models.recommender.ranking.encoding import Codes, decode
from training.models.recommender.ranking.ranker import WEIGHTS


@dataclass(frozen=True)
class Candidates:
    """One customer's scored candidates, ordered by product row.

    Attributes
    ----------
    first
        Row of the first candidate in the store; -1 if the candidates are not from the store.
    products
        Product rows.
    scores
        By list, the probability of a purchase: in the next basket (`now`), within the horizon
        (`month`), within the horizon among products new to the customer (`explore`, NaN for
        others).
    bought_before
        Whether the customer bought the product before.
    reasons, generator
        Codes of reasons, and the position of each candidate's reason in them.
    features
        State and context features, by name.
    context
        Context features in the order in which the ranker reads them; no columns if not from the
        store.
    """

    first: int
    products: Ints
    scores: Mapping[str, Floats]
    bought_before: Bools
    reasons: Sequence[str]
    generator: NDArray[np.int8]
    features: Mapping[str, Float32s]
    context: Float32s

    def split(self, firsts: Ints, ends: Ints) -> "list[Candidates]":
        """Return the candidates of each customer.

        Parameters
        ----------
        firsts, ends
            Row of each customer's first candidate in the store, and where they end among these.
        """
        parts = (slice(*bounds) for bounds in pairwise([0, *ends.tolist()]))
        return [
            replace(
                self,
                first=first,
                products=self.products[part],
                scores={name: values[part] for name, values in self.scores.items()},
                bought_before=self.bought_before[part],
                generator=self.generator[part],
                features={name: values[part] for name, values in self.features.items()},
                context=self.context[part],
            )
            for first, part in zip(firsts.tolist(), parts, strict=True)
        ]

    def reason(self, position: int) -> str:
        """Return the reason of a candidate: that of the generator that ranks it highest."""
        return self.reasons[int(self.generator[position])]


def score_candidates(
    store: CandidateStore,
    customer_ids: Sequence[str],
    *,
    at: datetime | None = None,
    location_id: str | None = None,
    recent_purchases: Mapping[str, datetime] | None = None,
    lists: Sequence[str] | None = None,
    bought_before_only: bool = False,
    lower_recent: bool = True,
) -> list[Candidates]:
    """Return the candidates of each customer, scored in a context as one matrix.

    Parameters
    ----------
    at
        Time of the request, by default and at least the store's `as_of`.
    location_id
        Location of the request, by default the customer's usual locations.
    recent_purchases
        Time by product bought since `as_of`, or before it if the records lack the purchase.
    lists, bought_before_only
        Lists to score, by default all, and whether only products that the customer bought before.
    lower_recent
        Whether recent purchases lower a product's scores until it is used up (`remaining_need`),
        or are added to the state that the ranker reads (`add_purchases`).

    Raises
    ------
    KeyError
        If a customer is unknown.
    """
    customers = np.array([store.customer_rows[name] for name in customer_ids], np.int64)
    rows, ends = _rows(store.spans[customers])
    owners = np.repeat(customers, np.diff(ends, prepend=0))
    products, as_of = np.asarray(store.arrays["product"][rows], np.int64), to_day(store.as_of)
    day = max(to_day(at), as_of) if at else as_of
    state = advance_days(_state(store, owners, products, rows), day - as_of)
    elapsed = _elapsed_days(store, recent_purchases or {}, products, state["recency_days"], day)
    bought_before = ~np.isnan(state["baskets"]) | ~np.isnan(elapsed)
    if not lower_recent:
        state = add_purchases(state, elapsed)
    promotions = _promotions(store, owners, location_id, products, day)
    hazards = RepurchaseHazards(store.arrays["hazards"])
    features = context_features(state, hazards, products, promotions)
    context = feature_matrix(features, store.ranker.context.columns, len(products))
    scored = tuple(name for name in store.about.lists if lists is None or name in lists)
    chosen = bought_before | (not bought_before_only)
    if day == as_of and location_id is None and np.isnan(elapsed).all():
        scores = _published_scores(store, scored, rows, chosen)
    else:
        scores = _scores(store, scored, rows, chosen, context, state["customer_size"])
    if "explore" in scores:
        scores["explore"][bought_before] = np.nan
    if recent_purchases and lower_recent:
        need = remaining_need(state, elapsed)
        scores = {name: values * need for name, values in scores.items()}
        features["recency_days"] = np.where(np.isnan(elapsed), state["recency_days"], elapsed)
    arrays = bought_before, store.about.reasons, store.arrays["generator"][rows], features, context
    return Candidates(-1, products, scores, *arrays).split(store.spans[customers, 0], ends)


def group_contributions(
    store: CandidateStore, shown: Sequence[tuple[Candidates, Ints]], list_name: str
) -> Float32s:
    """Return the contributions of reason groups to the scores of a list.

    Parameters
    ----------
    shown
        Candidates of customers, and positions among them.
    list_name
        `now`, `month` or `explore`.

    Returns
    -------
    numpy.ndarray
        Shape (positions of all customers, `EXPLAINED_GROUPS`), in units of log-odds.
    """
    rows = np.concatenate([candidates.first + positions for candidates, positions in shown])
    context = np.concatenate([candidates.context[positions] for candidates, positions in shown])
    codes = _codes(store, store.arrays["static_codes"][rows], context)
    values = decode(codes)
    weights = WEIGHTS[list_name]
    total = np.asarray(store.ranker.neural.attributions(codes, weights) @ store.groups, np.float32)
    for learner, weight in weights.items():
        if learner in store.attributions:
            total += weight * store.attributions[learner].by_group(values)
    return total


def _rows(spans: Ints) -> tuple[Ints, Ints]:
    """Return the rows of several spans, and where those of each end among them."""
    lengths = spans[:, 1] - spans[:, 0]
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) + np.repeat(spans[:, 0] - ends + lengths, lengths), ends


def _published_scores(
    store: CandidateStore, lists: tuple[str, ...], rows: Ints, chosen: Bools
) -> dict[str, Floats]:
    """Return the published scores of the chosen candidates; NaN for others."""
    published = store.arrays["scores"][rows]
    return {
        name: np.where(chosen, published[:, store.about.lists.index(name)], np.nan).astype(
            np.float64
        )
        for name in lists
    }


def _scores(
    store: CandidateStore,
    lists: tuple[str, ...],
    rows: Ints,
    chosen: Bools,
    context: Float32s,
    basket_size: Float32s,
) -> dict[str, Floats]:
    """Score the chosen candidates; NaN for others."""
    scores = {name: np.full(len(context), np.nan) for name in lists}
    codes = _codes(store, store.arrays["static_codes"][rows[chosen]], context[chosen])
    raw = store.ranker.scores(codes, lists)
    for name, values in scores.items():
        values[chosen] = store.ranker.probability(name, raw, basket_size[chosen])
    return scores


def _codes(store: CandidateStore, static: Codes, context: Float32s) -> Codes:
    encoded = store.ranker.context.encode_matrix(context)
    return np.concatenate([static, encoded], axis=1)


def _elapsed_days(
    store: CandidateStore,
    purchases: Mapping[str, datetime],
    products: Ints,
    recency: Float32s,
    day: int,
) -> Float32s:
    """Return days since purchases that the records lack; NaN for products without one."""
    elapsed = np.full(len(products), np.nan, np.float32)
    for product, time in purchases.items():
        days = max(day - to_day(time), 0)
        bought = products == store.product_rows.get(product, -1)
        if time < store.as_of:
            # The records hold this purchase or a later one.
            bought &= ~(recency <= days)
        elapsed[bought] = days
    return elapsed


def _state(store: CandidateStore, owners: Ints, products: Ints, rows: Ints) -> dict[str, Float32s]:
    about = store.about
    state: dict[str, Float32s] = {}
    for names, table, chosen in (
        (about.interaction_state, "interaction_state", rows),
        (about.customer_state, "customer_state", owners),
        (about.product_state, "product_state", products),
    ):
        # Copied to columns, because every later step reads columns.
        state |= zip(names, store.arrays[table][chosen].T.copy(), strict=True)
    return state


def _promotions(
    store: CandidateStore, owners: Ints, location_id: str | None, products: Ints, day: int
) -> dict[str, Float32s]:
    if location_id is None:
        codes, weights = store.usual_locations[0][owners], store.usual_locations[1][owners]
    else:
        code = store.location_codes.get(location_id, -1)
        codes = np.full((len(products), 1), code, np.int64)
        weights = np.ones((len(products), 1), np.float32)
    return store.plan.exposure(codes, weights, products, day)
