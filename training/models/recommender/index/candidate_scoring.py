"""Score one customer's candidates for a day, a location and recent purchases.

A candidate store and a context in; probabilities by list, and the contributions of reason groups
to them, out. Imported by serving.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from features.calendar import to_day
from features.typing import Bools, Float32s, Floats, Ints
from training.models.recommender.index.candidate_store import ATTRIBUTION_STEP, CandidateStore
from training.models.recommender.ranking.attribution import EXPLAINED_GROUPS
from training.models.recommender.ranking.blend import NEURAL_OUTPUT, WEIGHTS, average_log_odds
from training.models.recommender.ranking.context_features import (
    RepurchaseHazards,
    advance_days,
    context_features,
    feature_matrix,
    remaining_need,
)
from training.models.recommender.ranking.neural import Codes


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
    generator
        Position of the best candidate generator in `About.reasons`.
    features
        State and context features, by name.
    context
        Context features as the neural network reads them; no columns if not from the store.
    """

    first: int
    products: Ints
    scores: Mapping[str, Floats]
    bought_before: Bools
    generator: NDArray[np.int8]
    features: Mapping[str, Float32s]
    context: Float32s


def score_candidates(
    store: CandidateStore,
    customer_id: str,
    *,
    at: datetime | None = None,
    location_id: str | None = None,
    recent_purchases: Mapping[str, datetime] | None = None,
    lists: Sequence[str] | None = None,
    bought_before_only: bool = False,
) -> Candidates:
    """Return a customer's candidates, scored in a context.

    Parameters
    ----------
    at
        Time of the request, by default and at least the store's `as_of`.
    location_id
        Location of the request, by default the customer's usual locations.
    recent_purchases
        Products bought since `as_of`, with the time: their scores are reduced until they are
        used up, see `remaining_need`. Purchases before `as_of` count if the records lack them.
    lists
        Lists to score, by default all; each costs about a millisecond.
    bought_before_only
        Whether to score only products that the customer bought before; NaN for others.

    Raises
    ------
    KeyError
        If the customer is unknown.
    """
    row = store.customer_rows[customer_id]
    first, end = store.spans[row]
    span = slice(first, end)
    products = np.asarray(store.arrays["product"][span], np.int64)
    as_of = to_day(store.as_of)
    day = max(to_day(at), as_of) if at else as_of
    state = advance_days(_state(store, row, products, span), day - as_of)
    promotions = _promotions(store, row, location_id, products, day)
    hazards = RepurchaseHazards(store.arrays["hazards"])
    features = context_features(state, hazards, products, promotions)
    context = feature_matrix(features, store.ranker.neural.context.columns, len(products))
    elapsed = _elapsed_days(store, recent_purchases or {}, products, state["recency_days"], day)
    bought_before = ~np.isnan(state["baskets"]) | ~np.isnan(elapsed)
    scored = tuple(name for name in store.about.lists if lists is None or name in lists)
    chosen: Ints | slice = slice(None)
    if bought_before_only:
        chosen = np.flatnonzero(bought_before)
    elif scored == ("explore",):
        chosen = np.flatnonzero(~bought_before)
    scores = _scores(store, scored, span, chosen, context, state["customer_size"])
    if "explore" in scores:
        scores["explore"][bought_before] = np.nan
    if recent_purchases:
        need = remaining_need(state, elapsed)
        scores = {name: values * need for name, values in scores.items()}
        recency = np.where(np.isnan(elapsed), state["recency_days"], elapsed)
        features["recency_days"] = recency.astype(np.float32)
    generator = np.asarray(store.arrays["generator"][span])
    return Candidates(int(first), products, scores, bought_before, generator, features, context)


def group_contributions(
    store: CandidateStore, candidates: Candidates, positions: Ints, list_name: str
) -> Float32s:
    """Return the contributions of reason groups to the scores of a list.

    Parameters
    ----------
    positions
        Positions among the candidates.
    list_name
        `now`, `month` or `explore`.

    Returns
    -------
    numpy.ndarray
        Shape (positions, `EXPLAINED_GROUPS`), in units of the blended log-odds. For candidates
        without stored attributions, those of the static boosters are missing.
    """
    rows = candidates.first + np.asarray(positions, np.int64)
    static = _static_attributions(store, rows)
    context = candidates.context[positions]
    inputs = _booster_inputs(store, context)
    total = np.zeros((len(rows), len(EXPLAINED_GROUPS)), np.float32)
    output_weights = dict.fromkeys(store.ranker.neural.outputs, 0.0)
    for column, learner in enumerate(store.about.learners):
        if learner not in WEIGHTS[list_name]:
            continue
        weight = WEIGHTS[list_name][learner] / store.ranker.blend.scale[learner] / 2
        output_weights[NEURAL_OUTPUT[learner]] += weight
        by_group = store.attributions[learner].by_group(inputs)[:, : len(EXPLAINED_GROUPS)]
        total += weight * (ATTRIBUTION_STEP * static[:, column] + by_group)
    codes = _neural_codes(store, store.arrays["static_codes"][rows], context)
    total += store.ranker.neural.attributions(codes, output_weights) @ store.neural_groups
    return total


def _static_attributions(store: CandidateStore, rows: Ints) -> Float32s:
    """Return stored attributions in steps, zero where there are none; (rows, learners, groups)."""
    explained = store.arrays["explained"]
    index = np.searchsorted(explained, rows)
    stored = index < len(explained)
    stored[stored] = explained[index[stored]] == rows[stored]
    shape = (len(rows), len(store.about.learners), len(EXPLAINED_GROUPS))
    steps = np.zeros(shape, np.float32)
    steps[stored] = store.arrays["attributions"][index[stored]].reshape(-1, *shape[1:])
    return steps


def _scores(
    store: CandidateStore,
    lists: tuple[str, ...],
    span: slice,
    chosen: Ints | slice,
    context: Float32s,
    basket_size: Float32s,
) -> dict[str, Floats]:
    """Score the chosen candidates of a span; NaN for others."""
    scores = {name: np.full(len(context), np.nan) for name in lists}
    static, context = store.arrays["static_log_odds"][span][chosen], context[chosen]
    if not len(context):  # LightGBM raises on zero rows
        return scores
    codes = _neural_codes(store, store.arrays["static_codes"][span][chosen], context)
    neural = store.ranker.neural.log_odds(codes)
    inputs = _booster_inputs(store, context)
    blend = store.ranker.blend
    log_odds = {}
    for column, learner in enumerate(store.about.learners):
        if learner in blend.learners_for(lists):
            booster = store.ranker.boosters[learner].native
            added = np.asarray(booster.predict(inputs, raw_score=True, num_threads=1))
            log_odds[learner] = average_log_odds(learner, static[:, column] + added, neural)
    for name, values in scores.items():
        values[chosen] = blend.probability(name, log_odds, basket_size[chosen])
    return scores


def _neural_codes(store: CandidateStore, static: Codes, context: Float32s) -> Codes:
    encoded = store.ranker.neural.context.encode_matrix(context)
    return np.concatenate([static, encoded], axis=1)


def _booster_inputs(store: CandidateStore, context: Float32s) -> Float32s:
    """Select the columns that boosters read.

    The neural network is trained on older cutoffs too, and may know further kinds of promotion.
    """
    columns, selected = store.ranker.neural.context.columns, store.ranker.columns
    if columns == selected:
        return context
    return context[:, [columns.index(name) for name in selected]]


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


def _state(store: CandidateStore, row: int, products: Ints, span: slice) -> dict[str, Float32s]:
    about = store.about
    # Copied to columns, because every later step reads columns.
    columns = store.arrays["interaction_state"][span].T.copy()
    state = dict(zip(about.interaction_state, columns, strict=True))
    values = store.arrays["customer_state"][row]
    for name, value in zip(about.customer_state, values, strict=True):
        state[name] = np.full(len(products), value, np.float32)
    columns = store.arrays["product_state"][products].T.copy()
    return state | dict(zip(about.product_state, columns, strict=True))


def _promotions(
    store: CandidateStore, row: int, location_id: str | None, products: Ints, day: int
) -> dict[str, Float32s]:
    codes, weights = store.usual_locations[0][row], store.usual_locations[1][row]
    if location_id is not None:
        codes = np.array([store.location_codes.get(location_id, -1)])
        weights = np.ones(1, np.float32)
    shape = (len(products), len(codes))
    return store.plan.exposure(
        np.broadcast_to(codes, shape), np.broadcast_to(weights, shape), products, day
    )
