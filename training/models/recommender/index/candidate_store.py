"""Candidates of all customers on disk: the format, its writer and its reader.

Arrays are memory-mapped, so a million customers cost address space and not memory. Imported by
serving, so it loads no library that only training needs. A folder holds:

about.json
    See `About`.
customers.parquet
    customer_id, ascending; baskets; location_id, the usual one or null; first and end, the rows
    of the customer in the candidate arrays. The row number is the customer's row elsewhere.
products.parquet
    product_id, ascending; popularity (baskets in 28 days), price, first_days (days since the
    first sale), finest_group and next_group (codes of the two finest levels), and the columns of
    the products table. The row number is the product's row elsewhere.
product.npy, generator.npy, scores.npy, static_codes.npy, interaction_state.npy
    One row per candidate, ordered by customer and product: row of the product; position of the
    best candidate generator in `About.reasons`; probabilities by `About.lists` at `as_of` and the
    customer's usual locations; codes of static features; state of customer and product that
    context features are computed from.
customer_state.npy, product_state.npy, hazards.npy
    State by customer and by product, and repurchase hazards by product.
locations.npz
    Location ids; codes and weights of each customer's usual locations.
promotion_plan/, ranker/
    See `PromotionPlan` and `Ranker`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import DTypeLike, NDArray

from features.typing import Float32s, Ints
from training.models.recommender.inputs.promotions import PromotionPlan
from training.models.recommender.ranking.attribution import GroupAttribution, group_indicators
from training.models.recommender.ranking.ranker import Ranker
from training.published import arrays

ABOUT = "about.json"
CUSTOMERS = "customers.parquet"
PRODUCTS = "products.parquet"
LOCATIONS = "locations.npz"
PROMOTION_PLAN = "promotion_plan"
RANKER = "ranker"

# Arrays with one row per candidate.
CANDIDATE_ARRAYS: Mapping[str, DTypeLike] = {
    "product": np.int32,
    "generator": np.int8,
    "scores": np.float32,
    "static_codes": np.int8,
    "interaction_state": np.float32,
}
CUSTOMER_ARRAYS = ("customer_state",)
OTHER_ARRAYS = ("product_state", "hazards")


@dataclass(frozen=True)
class About:
    """Scalars of a published recommender, and names of array columns.

    Attributes
    ----------
    as_of
        Instant that the answers are as of, ISO.
    horizon_days, list_length
        Options of the model.
    lists
        Lists that the ranker scores: `now`, `month`, `explore`.
    reasons
        Reason of each candidate generator; the first is `repeat`.
    groups
        Reason group of each feature that the ranker reads.
    interaction_state, customer_state, product_state
        Columns of the arrays.
    """

    as_of: str
    horizon_days: int
    list_length: int
    lists: tuple[str, ...]
    reasons: tuple[str, ...]
    groups: tuple[str, ...]
    interaction_state: tuple[str, ...]
    customer_state: tuple[str, ...]
    product_state: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write `about.json`."""
        (folder / ABOUT).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `about.json`."""
        content: dict[str, Any] = json.loads((folder / ABOUT).read_text())
        for name, value in content.items():
            content[name] = tuple(value) if isinstance(value, list) else value
        return cls(**content)


@dataclass(frozen=True)
class CandidateStore:
    """Candidates of one published version, memory-mapped.

    Attributes
    ----------
    about, customers, products
        As in the files.
    customer_rows, product_rows
        Row of each customer and product, by id.
    location_codes
        Code of each location, by id.
    spans
        First and end row of each customer's candidates; shape (customers, 2).
    usual_locations
        Codes and weights of each customer's usual locations; each of shape (customers, locations).
    arrays
        The arrays, by file name without suffix.
    plan
        Planned promotions.
    ranker
        Scores candidates.
    attributions
        Splits the scores of the boosters into reason groups, by learner.
    groups
        Indicators of the explained reason group of each feature, for the neural network.
    """

    about: About
    customers: pl.DataFrame
    products: pl.DataFrame
    customer_rows: Mapping[str, int]
    product_rows: Mapping[str, int]
    location_codes: Mapping[str, int]
    spans: Ints
    usual_locations: tuple[Ints, Float32s]
    arrays: Mapping[str, NDArray[Any]]
    plan: PromotionPlan
    ranker: Ranker
    attributions: Mapping[str, GroupAttribution]
    groups: Float32s

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files that `CandidateWriter` wrote."""
        about = About.load(folder)
        customers, products = load_customers(folder), pl.read_parquet(folder / PRODUCTS)
        locations = load_locations(folder)
        ranker = Ranker.load(folder / RANKER)
        names = (*CANDIDATE_ARRAYS, *CUSTOMER_ARRAYS, *OTHER_ARRAYS)
        return cls(
            about,
            customers,
            products,
            _number(customers.get_column("customer_id").to_list()),
            _number(products.get_column("product_id").to_list()),
            _number([str(name) for name in locations["ids"]]),
            customers.select("first", "end").to_numpy(),
            (locations["codes"], locations["weights"]),
            {name: arrays.read(folder, name) for name in names},
            PromotionPlan.load(folder / PROMOTION_PLAN),
            ranker,
            {
                learner: GroupAttribution.from_booster(booster, about.groups)
                for learner, booster in ranker.boosters.items()
            },
            group_indicators(about.groups),
        )

    @property
    def as_of(self) -> datetime:
        """Instant up to which records are known."""
        return datetime.fromisoformat(self.about.as_of)


class CandidateWriter:
    """Writes a candidate store block by block, without holding all candidates in memory.

    Parameters
    ----------
    folder
        An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = dict.fromkeys(CANDIDATE_ARRAYS, 0)
        self._files = {name: self._raw(name).open("wb") for name in self.rows}

    def append(self, blocks: Mapping[str, NDArray[Any]]) -> None:
        """Append rows to the arrays of `CANDIDATE_ARRAYS`."""
        for name, values in blocks.items():
            self._files[name].write(values.astype(CANDIDATE_ARRAYS[name], copy=False).tobytes())
            self.rows[name] += len(values)

    def close(self, widths: Mapping[str, int]) -> None:
        """Turn what was appended into arrays; `widths` has the columns of the two-dimensional."""
        for name, dtype in CANDIDATE_ARRAYS.items():
            self._files[name].close()
            raw = self._raw(name)
            flat = np.memmap(raw, dtype, "r") if raw.stat().st_size else np.zeros(0, dtype)
            columns = (widths[name],) if name in widths else ()
            arrays.write(self.folder, {name: flat.reshape((self.rows[name], *columns))})
            raw.unlink()

    def write(
        self,
        about: About,
        customers: pl.DataFrame,
        products: pl.DataFrame,
        locations: Mapping[str, NDArray[Any]],
        state: Mapping[str, NDArray[Any]],
    ) -> None:
        """Write scalars, tables and the arrays of `CUSTOMER_ARRAYS` and `OTHER_ARRAYS`."""
        about.save(self.folder)
        write_customers(self.folder, customers)
        products.write_parquet(self.folder / PRODUCTS)
        _save_locations(self.folder, locations)
        arrays.write(self.folder, state)

    def write_ranker(self, plan: PromotionPlan, ranker: Ranker) -> None:
        """Write what scores candidates in a context."""
        plan.save(self.folder / PROMOTION_PLAN)
        ranker.save(self.folder / RANKER)

    def _raw(self, name: str) -> Path:
        return self.folder / f".{name}"


def write_customers(folder: Path, customers: pl.DataFrame) -> None:
    """Write the customers of a store."""
    customers.write_parquet(folder / CUSTOMERS)


def load_customers(folder: Path) -> pl.DataFrame:
    """Read the customers of a store."""
    return pl.read_parquet(folder / CUSTOMERS)


def load_product_ids(folder: Path) -> list[str]:
    """Read the ids of the products of a store, by row."""
    return pl.read_parquet(folder / PRODUCTS, columns=["product_id"]).to_series().to_list()


def load_locations(folder: Path) -> dict[str, NDArray[Any]]:
    """Read the locations of a store: `ids`, `codes` and `weights`."""
    with np.load(folder / LOCATIONS, allow_pickle=False) as stored:
        return dict(stored)


def keep_customers(folder: Path, kept: NDArray[np.bool_]) -> None:
    """Rewrite a store for some of its customers; files are replaced, not changed.

    Parameters
    ----------
    kept
        Mask over the rows of the customers.
    """
    customers = load_customers(folder)
    (folder / CUSTOMERS).unlink()
    spans = customers.select("first", "end").to_numpy()
    lengths = spans[:, 1] - spans[:, 0]
    candidates_kept = np.repeat(kept, lengths)
    for name in CANDIDATE_ARRAYS:
        _replace(folder, name, arrays.read(folder, name)[candidates_kept])
    for name in CUSTOMER_ARRAYS:
        _replace(folder, name, arrays.read(folder, name)[kept])
    locations = load_locations(folder)
    (folder / LOCATIONS).unlink()
    for name in ("codes", "weights"):
        locations[name] = locations[name][kept]
    _save_locations(folder, locations)
    ends = np.cumsum(lengths[kept])
    first, end = pl.Series("first", ends - lengths[kept]), pl.Series("end", ends)
    write_customers(folder, customers.filter(kept).with_columns(first, end))


def _save_locations(folder: Path, locations: Mapping[str, NDArray[Any]]) -> None:
    ids, codes, weights = (locations[name] for name in ("ids", "codes", "weights"))
    np.savez(folder / LOCATIONS, ids=ids, codes=codes, weights=weights)


def _replace(folder: Path, name: str, values: NDArray[Any]) -> None:
    arrays.replace(arrays.path_of(folder, name), values)


def _number(names: Sequence[str]) -> dict[str, int]:
    return {name: row for row, name in enumerate(names)}
