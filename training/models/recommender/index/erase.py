"""Customers leave a published recommender: its files without their rows. Light imports only.

See `training.models.recommender.index.candidate_store` and `buyers` for what the files hold.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.models.recommender.inputs.top_k import group_boundaries
from training.published import arrays

CUSTOMERS = "customers.parquet"
OF_CANDIDATES = ("product", "source", "taste", "code", "state", "explained", "motive")
SHELF = "shelf"


def erase(folder: Path, erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from a published recommender; returns the ids that were in it."""
    customers = pl.read_parquet(folder / CUSTOMERS)
    gone = erased(customers.get_column("customer_id"))
    if gone.any():
        (folder / CUSTOMERS).unlink()
        keep(folder, customers, (~gone).to_numpy())
    return set(customers.get_column("customer_id").filter(gone))


def keep(folder: Path, customers: pl.DataFrame, kept: NDArray[np.bool_]) -> None:
    """Write a published recommender's files for some of the customers alone.

    Parameters
    ----------
    customers, kept
        The customers as in the file, and who of them stays.
    """
    spans = customers.select("first", "end").to_numpy()
    lengths = spans[:, 1] - spans[:, 0]
    # Candidates lie in the order of their customers; some of them are explained.
    stays = np.repeat(kept, lengths)
    explained = np.load(folder / "explained.npy")
    told = stays[explained]
    numbers = np.cumsum(stays) - 1
    for name in OF_CANDIDATES:
        path = folder / f"{name}.npy"
        of = told if name in ("explained", "motive") else stays
        arrays.replace(path, arrays.read(folder, name)[of])
    arrays.replace(folder / "explained.npy", numbers[explained[told]])
    state = folder / "customer_state.npy"
    arrays.replace(state, np.load(state)[kept])
    places = folder / "places.npz"
    with np.load(places, allow_pickle=False) as stored:
        found = dict(stored)
    places.unlink()
    for name in ("codes", "weights"):
        found[name] = found[name][kept]
    np.savez(places, **found)
    ends = np.cumsum(lengths[kept])
    customers.filter(kept).with_columns(
        pl.Series("first", ends - lengths[kept]), pl.Series("end", ends)
    ).write_parquet(folder / CUSTOMERS)
    _from_buyers(folder / SHELF, kept)


def _from_buyers(folder: Path, kept: NDArray[np.bool_]) -> None:
    found = {name: arrays.read(folder, f"buyer_{name}") for name in ("ends", "customer")}
    stays = kept[found["customer"]]
    products = len(found["ends"]) - 1
    owners = np.repeat(np.arange(products), np.diff(found["ends"]))[stays]
    numbers = (np.cumsum(kept) - 1).astype(np.int32)
    arrays.replace(folder / "buyer_ends.npy", group_boundaries(owners, products))
    arrays.replace(folder / "buyer_customer.npy", numbers[found["customer"][stays]])
    for name in ("chance", "again"):
        path = folder / f"buyer_{name}.npy"
        arrays.replace(path, np.load(path)[stays])
