"""What a published recommender holds: every customer's candidates, as arrays on disk.

Written when publishing, mapped into memory when serving, so that a million customers cost
address space and not memory. Light imports only: serving loads this without the libraries
of training.

The folder holds:

about.json
    as_of, horizon_days, list_length, kinds (of list), learners, reasons (by number), and the
    names of the columns of the arrays.
customers.parquet
    customer_id ascending, baskets, location_id (the usual one; null where unknown), first and
    end: rows of the candidate arrays.
products.parquet
    product_id ascending; a row is the product's code. The catalogue's columns where there is
    one, and popularity (baskets in 28 days), price, first_days (since first sold), type and
    kind (codes of the catalogue's finest and next level).
product.npy, source.npy, taste.npy, state.npy
    One row a candidate, ordered by customer and product: its code, what speaks for it, its
    log-odds by learner before the moment corrects them, what the moment is told of it.
customer_state.npy, product_state.npy, hazard.npy, places.npz, plan/, moment/
    What else the moment needs: see `moment_features`, `places` and `ranker`.
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
from training.models.blend import Blend
from training.models.boosting import Booster
from training.models.moment_features import (
    OF_CUSTOMER,
    OF_PAIR,
    OF_PRODUCT,
    Clocks,
    days_on,
    moment_features,
    still_there,
)
from training.models.places import Plan

Ints = NDArray[np.int64]
Float32s = NDArray[np.float32]

ARRAYS = ("product", "source", "taste", "state", "customer_state", "product_state", "hazard")


@dataclass(frozen=True)
class Candidates:
    """One customer's candidates at one moment, in the order of product codes.

    Attributes
    ----------
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
    """

    products: Ints
    scores: Mapping[str, NDArray[np.float64]]
    own: NDArray[np.bool_]
    source: NDArray[np.int8]
    features: Mapping[str, Float32s]


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
        Ids in ascending order.
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
    plan: Plan
    moment: Mapping[str, Booster]
    blend: Blend

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map what `Draft` wrote."""
        about = json.loads((folder / "about.json").read_text())
        customers = pl.read_parquet(folder / "customers.parquet")
        products = pl.read_parquet(folder / "products.parquet")
        with np.load(folder / "places.npz", allow_pickle=False) as places:
            names, codes, weights = places["ids"], places["codes"], places["weights"]
        blend = Blend.from_json(json.loads((folder / "moment" / "blend.json").read_text()))
        return cls(
            about,
            customers,
            _numbered(customers.get_column("customer_id").to_list()),
            products,
            _numbered(products.get_column("product_id").to_list()),
            _numbered([str(name) for name in names]),
            customers.select("first", "end").to_numpy(),
            (codes, weights),
            {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS},
            Plan.load(folder / "plan"),
            {name: Booster.load(folder / "moment" / f"{name}_moment") for name in blend.scale},
            blend,
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
            `still_there`.
        kinds
            Kinds of list to score, all by default; each costs about a millisecond.

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
        state = days_on(state, today - to_day(self.as_of))
        promotions = self._promotions(row, location_id, cols, today)
        features = moment_features(state, Clocks(self.arrays["hazard"]), cols, promotions)
        asked = tuple(kind for kind in self.kinds if kinds is None or kind in kinds)
        taste = np.asarray(self.arrays["taste"][first:end])
        raw, none = {}, np.zeros(len(cols), np.float32)
        for number, learner in enumerate(self.about["learners"]):
            if learner in self.blend.needed(asked):
                booster = self.moment[learner]
                # A kind of promotion that is not planned now is zero.
                inputs = np.column_stack([features.get(name, none) for name in booster.columns])
                moved = booster.native.predict(inputs, raw_score=True, num_threads=1)
                raw[learner] = taste[:, number] + np.asarray(moved)
        scores = {kind: self.blend.at(kind, raw, state["customer_size"]) for kind in asked}
        own = ~np.isnan(state["baskets"])
        if "explore" in scores:
            scores["explore"] = np.where(own, np.nan, scores["explore"])
        if bought:
            elapsed = np.full(len(cols), np.nan, np.float32)
            for product, when in bought.items():
                elapsed[cols == self.product_codes.get(product, -1)] = max(today - to_day(when), 0)
            wanted = still_there(state, elapsed)
            scores = {kind: values * wanted for kind, values in scores.items()}
            again = np.where(np.isnan(elapsed), state["recency_days"], elapsed)
            features["recency_days"] = again.astype(np.float32)
            own = own | ~np.isnan(elapsed)
        source = np.asarray(self.arrays["source"][first:end])
        return Candidates(cols, scores, own, source, features)

    def _state(self, row: int, cols: Ints, span: slice) -> dict[str, Float32s]:
        names = self.about["state"]
        pairs = np.asarray(self.arrays["state"][span])
        found = {name: pairs[:, at] for at, name in enumerate(names["pair"])}
        mine = np.asarray(self.arrays["customer_state"][row])
        for at, name in enumerate(names["customer"]):
            found[name] = np.full(len(cols), mine[at], np.float32)
        theirs = np.asarray(self.arrays["product_state"][cols])
        return found | {name: theirs[:, at] for at, name in enumerate(names["product"])}

    def _promotions(
        self, row: int, location_id: str | None, cols: Ints, today: int
    ) -> dict[str, Float32s]:
        codes, weights = self.places[0][row], self.places[1][row]
        if location_id is not None:
            codes = np.array([self.locations.get(location_id, -1)])
            weights = np.ones(1, np.float32)
        shape = (len(cols), len(codes))
        return self.plan.shares(
            np.broadcast_to(codes, shape), np.broadcast_to(weights, shape), cols, today
        )


class Draft:
    """A published version in the making: blocks of candidates are added, then it is finished.

    Arrays grow on disk block by block, so that publishing never holds all candidates.
    """

    def __init__(self, folder: Path, ranking: Any, ranker: Any) -> None:
        self.folder, self.ranking, self.ranker = folder, ranking, ranker
        self.lengths: list[Ints] = []
        self.parts = {name: (folder / f".{name}").open("wb") for name in ARRAYS[:4]}
        self.pair: list[str] = []

    def add(self, block: Any, taste: Mapping[str, NDArray[np.float64]]) -> None:
        """Write a block's candidates."""
        ranking = self.ranking
        state = ranking.state(block.rows, block.cols)
        fixed = {*OF_CUSTOMER, *OF_PRODUCT}
        self.pair = [
            name
            for name in state
            if name in OF_PAIR or (name not in fixed and name.startswith("pair_"))
        ]
        of_pair = np.column_stack([state[name] for name in self.pair])
        odds = np.column_stack([taste[learner] for learner in self.ranker.learners])
        self.parts["product"].write(block.cols.astype(np.int32).tobytes())
        self.parts["source"].write(ranking.reasons(block).tobytes())
        self.parts["taste"].write(odds.astype(np.float64).tobytes())
        self.parts["state"].write(of_pair.astype(np.float32).tobytes())
        self.lengths.append(np.bincount(block.rows, minlength=ranking.histories.shape[0]))

    def finish(self, dataset: Any, as_of: datetime, horizon_days: int, list_length: int) -> None:
        """Write the rest, and give the arrays their shapes."""
        known, ranking = self.ranking.histories, self.ranking
        lengths = np.sum(self.lengths, axis=0)
        ends = np.cumsum(lengths)
        for name, dtype, width in (
            ("product", np.int32, 0),
            ("source", np.int8, 0),
            ("taste", np.float64, len(self.ranker.learners)),
            ("state", np.float32, len(self.pair)),
        ):
            self.parts[name].close()
            raw = self.folder / f".{name}"
            flat = np.memmap(raw, dtype, "r") if raw.stat().st_size else np.zeros(0, dtype)
            np.save(self.folder / f"{name}.npy", flat.reshape(-1, width) if width else flat)
            raw.unlink()
        nobody = ranking.state(np.zeros(0, np.int64), np.zeros(0, np.int64))
        of_customer = [name for name in nobody if name.startswith("customer_")]
        of_product = [name for name in nobody if name.startswith("product_")]
        mine = [ranking.customer[name] for name in of_customer]
        nan = np.full(known.shape[1], np.nan, np.float32)
        theirs = [ranking.product.get(name, nan) for name in of_product]
        np.save(self.folder / "customer_state.npy", np.column_stack(mine).astype(np.float32))
        np.save(self.folder / "product_state.npy", np.column_stack(theirs).astype(np.float32))
        np.save(self.folder / "hazard.npy", ranking.clocks.hazard)
        places = ranking.places
        np.savez(
            self.folder / "places.npz",
            ids=places.ids,
            codes=places.codes,
            weights=places.weights,
        )
        ranking.plan.save(self.folder / "plan")
        self.ranker.save_moment(self.folder / "moment")
        usual = [str(places.ids[code]) if code >= 0 else None for code in places.codes[:, 0]]
        pl.DataFrame(
            {
                "customer_id": pl.Series(known.customers.astype(object), dtype=pl.String),
                "baskets": known.customer["customer_baskets"].astype(np.int32),
                "location_id": pl.Series(usual, dtype=pl.String),
                "first": ends - lengths,
                "end": ends,
            }
        ).write_parquet(self.folder / "customers.parquet")
        self._products(dataset).write_parquet(self.folder / "products.parquet")
        about = {
            "as_of": as_of.isoformat(),
            "horizon_days": horizon_days,
            "list_length": list_length,
            "kinds": list(self.ranker.blend.kinds),
            "learners": list(self.ranker.learners),
            "reasons": [source.reason for source in ranking.sources],
            "state": {"pair": self.pair, "customer": of_customer, "product": of_product},
        }
        (self.folder / "about.json").write_text(json.dumps(about, indent=1))

    def _products(self, dataset: Any) -> pl.DataFrame:
        known, ranking = self.ranking.histories, self.ranking
        levels = [group.of_product for group in ranking.groups.values()]
        levels += [np.zeros(known.shape[1], np.int64)] * (2 - len(levels))
        nan = np.full(known.shape[1], np.nan, np.float32)
        frame = pl.DataFrame(
            {
                "product_id": pl.Series(known.products.astype(object), dtype=pl.String),
                "popularity": known.by_product("baskets_28d"),
                "price": ranking.product.get("product_price", nan),
                "first_days": known.product["first_days"],
                "type": levels[0],
                "kind": levels[1],
            }
        )
        if "products" not in dataset.tables:
            return frame
        catalogue = dataset.table("products").collect().to_polars()
        catalogue = catalogue.unique("product_id", keep="first", maintain_order=True)
        free = ["product_id", *(name for name in catalogue.columns if name not in frame.columns)]
        return frame.join(
            catalogue.select(free), on="product_id", how="left", maintain_order="left"
        )


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: at for at, name in enumerate(names)}
