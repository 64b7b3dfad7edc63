"""What a published recommender holds: every customer's candidates, as arrays on disk.

Written by `list_draft`, mapped into memory when serving, so that a million customers cost
address space and not memory. Light imports only: serving loads this without the libraries
of training.

The folder holds:

about.json
    as_of, horizon_days, list_length, kinds (of list), learners, reasons (by number), the
    motive that each of the net's columns belongs to, moment (features of the moment's
    boosters), and the names of the columns of the arrays.
customers.parquet
    customer_id ascending, baskets, location_id (the usual one; null where unknown), first and
    end: rows of the candidate arrays.
products.parquet
    product_id ascending; a row is the product's code. The catalogue's columns where there is
    one, and popularity (baskets in 28 days), price, first_days (since first sold), type and
    kind (codes of the catalogue's finest and next level).
product.npy, source.npy, taste.npy, code.npy, state.npy
    One row a candidate, ordered by customer and product: its code, what speaks for it, the
    boosters' log-odds by learner before the moment corrects them, the taste as the net reads
    it, what the moment is told of it.
explained.npy, motive.npy
    Rows of the candidates that are likely to be shown, ascending, and how far each of
    `motives.TOLD` moved their taste, by learner and in steps of `MOTIVE_STEP`.
customer_state.npy, product_state.npy, hazard.npy, places.npz, plan/, moment/
    What else the moment needs: see `moment_features`, `place_plan` and `ranker`.
shelf/
    What lists need besides: see `lists.shelf`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.calendar import to_day
from features.typing import Float32s, Ints
from training.estimators.boosting import Booster
from training.models.recommender.index.erase import CUSTOMERS, OF_CANDIDATES
from training.models.recommender.inputs.promotions import PromotionPlan
from training.models.recommender.ranking.attribution import (
    EXPLAINED_GROUPS,
    GroupAttribution,
    group_indicators,
)
from training.models.recommender.ranking.blend import (
    NEURAL_OUTPUT,
    WEIGHTS,
    Blend,
    average_log_odds,
)
from training.models.recommender.ranking.context_features import (
    RepurchaseHazards,
    advance_days,
    context_features,
    feature_matrix,
    remaining_need,
)
from training.models.recommender.ranking.context_ranker import ContextRanker
from training.models.recommender.ranking.neural import Codes, NeuralNet
from training.published.arrays import read

ARRAYS = (*OF_CANDIDATES, "customer_state", "product_state", "hazard")
MOTIVE_STEP = 1 / 32


@dataclass(frozen=True)
class Candidates:
    """One customer's candidates at one moment, in the order of product codes.

    Attributes
    ----------
    first
        Row of the first in the arrays of candidates; -1 for what was not published.
    products
        Codes: rows of `PublishedLists.products`.
    scores
        By kind of list, the chance of being bought: in the next basket (`now`), within the
        horizon (`month`; `explore` among what is new to the customer, NaN for the rest).
    own
        Whether the customer bought the product before.
    source
        Position in `PublishedLists.reasons` of what speaks for it.
    features
        What the moment's scores rest on, by name: clocks, promotions at the place; see
        `moment_features`.
    laid
        The features that the net reads of the moment, side by side; nothing of what was not
        published.
    """

    first: int
    products: Ints
    scores: Mapping[str, NDArray[np.float64]]
    own: NDArray[np.bool_]
    source: NDArray[np.int8]
    features: Mapping[str, Float32s]
    laid: Float32s


@dataclass(frozen=True)
class PublishedLists:
    """One published version's candidates, mapped into memory.

    Attributes
    ----------
    about
        As in the file.
    customers, codes
        As in the file; the row of each customer by id.
    products, product_codes
        As in the file; the row of each product by id.
    locations
        The code of each location by id.
    spans, places
        First and end row of each customer's candidates; their usual locations with weights.
    arrays
        Those of `ARRAYS`, by name.
    plan
        What is promoted where and when.
    moment, movers, blend
        What ranks for the moment, by learner; what moved it; how learners make a kind of list.
    """

    about: Mapping[str, Any]
    customers: pl.DataFrame
    codes: Mapping[str, int]
    products: pl.DataFrame
    product_codes: Mapping[str, int]
    locations: Mapping[str, int]
    spans: Ints
    places: tuple[Ints, Float32s]
    arrays: Mapping[str, NDArray[Any]]
    plan: PromotionPlan
    moment: Mapping[str, Booster]
    movers: Mapping[str, GroupAttribution]
    net: NeuralNet
    net_motives: Float32s
    blend: Blend

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map what `Draft` wrote."""
        about = json.loads((folder / "about.json").read_text())
        customers = pl.read_parquet(folder / CUSTOMERS)
        products = pl.read_parquet(folder / "products.parquet")
        with np.load(folder / "places.npz", allow_pickle=False) as places:
            names, codes, weights = places["ids"], places["codes"], places["weights"]
        ranker = ContextRanker.load(folder / "moment")
        return cls(
            about,
            customers,
            _numbered(customers.get_column("customer_id").to_list()),
            products,
            _numbered(products.get_column("product_id").to_list()),
            _numbered([str(name) for name in names]),
            customers.select("first", "end").to_numpy(),
            (codes, weights),
            {name: read(folder, name) for name in ARRAYS},
            PromotionPlan.load(folder / "plan"),
            ranker.boosters,
            {
                name: GroupAttribution.from_booster(booster)
                for name, booster in ranker.boosters.items()
            },
            ranker.neural,
            group_indicators(about["motives"])[:, : len(EXPLAINED_GROUPS)],
            ranker.blend,
        )

    @property
    def as_of(self) -> datetime:
        """The instant up to which it knows."""
        return datetime.fromisoformat(self.about["as_of"])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of list that it can rank."""
        return tuple(self.about["kinds"])

    @property
    def reasons(self) -> tuple[str, ...]:
        """What may speak for a product, by number; the first is `repeat`."""
        return tuple(self.about["reasons"])

    def candidates(
        self,
        customer_id: str,
        *,
        at: datetime | None = None,
        location_id: str | None = None,
        bought: Mapping[str, datetime] | None = None,
        kinds: Sequence[str] | None = None,
        own_alone: bool = False,
    ) -> Candidates:
        """Return a customer's candidates, scored for a time and a place.

        Parameters
        ----------
        at
            The moment of the request, by default the version's `as_of`; earlier is `as_of`.
        location_id
            Where the customer is, by default where they usually are.
        bought
            Products bought since `as_of`, and when: wanted less until they are used up, see
            `still_there`. An earlier purchase counts where the records lack it.
        kinds
            Kinds of list to score, all by default; each costs about a millisecond.
        own_alone
            Whether only what the customer bought before is scored, NaN for the rest.

        Raises
        ------
        KeyError
            If the customer is not known.
        """
        row = self.codes[customer_id]
        first, end = self.spans[row]
        cols = np.asarray(self.arrays["product"][first:end], np.int64)
        today = max(to_day(at), to_day(self.as_of)) if at else to_day(self.as_of)
        state = self._state(row, cols, slice(first, end))
        state = advance_days(state, today - to_day(self.as_of))
        promotions = self._promotions(row, location_id, cols, today)
        features = context_features(
            state, RepurchaseHazards(self.arrays["hazard"]), cols, promotions
        )
        laid = feature_matrix(features, self.net.context.columns, len(cols))
        elapsed = self._elapsed(bought or {}, cols, state["recency_days"], today)
        own = ~np.isnan(state["baskets"]) | ~np.isnan(elapsed)
        asked = tuple(kind for kind in self.kinds if kinds is None or kind in kinds)
        wanted: Ints | slice = slice(None)
        if own_alone:
            wanted = np.flatnonzero(own)
        elif asked == ("explore",):
            wanted = np.flatnonzero(~own)
        scores = self._scores(asked, slice(first, end), wanted, laid, state["customer_size"])
        if "explore" in scores:
            scores["explore"][own] = np.nan
        if bought:
            left = remaining_need(state, elapsed)
            scores = {kind: values * left for kind, values in scores.items()}
            again = np.where(np.isnan(elapsed), state["recency_days"], elapsed)
            features["recency_days"] = again.astype(np.float32)
        source = np.asarray(self.arrays["source"][first:end])
        return Candidates(int(first), cols, scores, own, source, features, laid)

    def _scores(
        self,
        kinds: tuple[str, ...],
        span: slice,
        wanted: Ints | slice,
        laid: Float32s,
        size: Float32s,
    ) -> dict[str, NDArray[np.float64]]:
        """Score the wanted of a customer's candidates; NaN for the rest."""
        found = {kind: np.full(len(laid), np.nan) for kind in kinds}
        taste, inputs = self.arrays["taste"][span][wanted], laid[wanted]
        if not len(inputs):  # LightGBM refuses no rows
            return found
        net = self.net.log_odds(self._codes(self.arrays["code"][span][wanted], inputs))
        inputs = self._of_boosters(inputs)
        raw = {}
        for number, learner in enumerate(self.about["learners"]):
            if learner in self.blend.learners_for(kinds):
                moved = self.moment[learner].native.predict(inputs, raw_score=True, num_threads=1)
                raw[learner] = average_log_odds(learner, taste[:, number] + np.asarray(moved), net)
        for kind, values in found.items():
            values[wanted] = self.blend.probability(kind, raw, size[wanted])
        return found

    def _codes(self, taste: Codes, laid: Float32s) -> Codes:
        return np.concatenate([taste, self.net.context.encode_matrix(laid)], axis=1)

    def _of_boosters(self, laid: Float32s) -> Float32s:
        """Leave what boosters read; the net learned from older cuts too, and their promotions."""
        columns, read_ = self.net.context.columns, tuple(self.about["moment"])
        return laid if columns == read_ else laid[:, [columns.index(name) for name in read_]]

    def motives(self, candidates: Candidates, at: Ints, kind: str) -> Float32s:
        """Say how far each motive moved candidates' scores of a kind of list.

        Parameters
        ----------
        at
            Positions among the candidates.

        Returns
        -------
        numpy.ndarray
            Shape (at, `motives.TOLD`), in parts of the blended log-odds; of what was not likely
            to be shown, what the net and the moment moved alone.
        """
        explained, rows = self.arrays["explained"], candidates.first + np.asarray(at, np.int64)
        place = np.searchsorted(explained, rows)
        there = place < len(explained)
        there[there] = explained[place[there]] == rows[there]
        shape = (len(rows), len(self.about["learners"]), len(EXPLAINED_GROUPS))
        taste = np.zeros(shape, np.float32)
        taste[there] = self.arrays["motive"][place[there]].reshape(-1, *shape[1:])
        laid = candidates.laid[at]
        inputs = self._of_boosters(laid)
        found = np.zeros((len(rows), len(EXPLAINED_GROUPS)), np.float32)
        of_net = dict.fromkeys(self.net.outputs, 0.0)
        for number, learner in enumerate(self.about["learners"]):
            if learner not in WEIGHTS[kind]:
                continue
            worth = WEIGHTS[kind][learner] / self.blend.scale[learner] / 2
            of_net[NEURAL_OUTPUT[learner]] += worth
            moment = self.movers[learner].by_group(inputs)[:, : len(EXPLAINED_GROUPS)]
            found += worth * (MOTIVE_STEP * taste[:, number] + moment)
        codes = self._codes(self.arrays["code"][rows], laid)
        found += self.net.attributions(codes, of_net) @ self.net_motives
        return found

    def _elapsed(
        self, bought: Mapping[str, datetime], cols: Ints, recency: Float32s, today: int
    ) -> Float32s:
        """Days since candidates were bought, as far as the records do not know it; else NaN."""
        found = np.full(len(cols), np.nan, np.float32)
        for product, when in bought.items():
            ago = max(today - to_day(when), 0)
            told = cols == self.product_codes.get(product, -1)
            if when < self.as_of:
                # It is in the records, or a later purchase is.
                told &= ~(recency <= ago)
            found[told] = ago
        return found

    def _state(self, row: int, cols: Ints, span: slice) -> dict[str, Float32s]:
        names = self.about["state"]
        # Column by column, as all that follows reads them.
        found = dict(zip(names["pair"], self.arrays["state"][span].T.copy(), strict=True))
        for name, value in zip(names["customer"], self.arrays["customer_state"][row], strict=True):
            found[name] = np.full(len(cols), value, np.float32)
        theirs = self.arrays["product_state"][cols].T.copy()
        return found | dict(zip(names["product"], theirs, strict=True))

    def _promotions(
        self, row: int, location_id: str | None, cols: Ints, today: int
    ) -> dict[str, Float32s]:
        codes, weights = self.places[0][row], self.places[1][row]
        if location_id is not None:
            codes = np.array([self.locations.get(location_id, -1)])
            weights = np.ones(1, np.float32)
        shape = (len(cols), len(codes))
        return self.plan.exposure(
            np.broadcast_to(codes, shape), np.broadcast_to(weights, shape), cols, today
        )


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: at for at, name in enumerate(names)}
