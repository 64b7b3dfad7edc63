"""Erase customers from a published recommender.

See `candidate_store` and `likely_buyers` for the files that hold customers.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from features.typing import Bools
from training.models.recommender.index import candidate_store
from training.models.recommender.index.index import INDEX
from training.models.recommender.index.likely_buyers import LikelyBuyers


def erase(folder: Path, is_erased: Callable[[pl.Series], pl.Series]) -> set[str]:
    """Drop customers from a published folder.

    Parameters
    ----------
    is_erased
        Given customer ids, marks those to drop.

    Returns
    -------
    set of str
        The ids that were dropped.
    """
    ids = candidate_store.load_customers(folder).get_column("customer_id")
    erased = is_erased(ids)
    if erased.any():
        keep_customers(folder, (~erased).to_numpy())
    return set(ids.filter(erased))


def keep_customers(folder: Path, kept: Bools) -> None:
    """Rewrite a published folder for some of its customers; files are replaced, not changed.

    Parameters
    ----------
    kept
        Mask over the rows of the customers.
    """
    candidate_store.keep_customers(folder, kept)
    buyers = LikelyBuyers.load(folder / INDEX)
    buyers.keep(kept).replace(folder / INDEX)
