"""Candidate generators of the recommender, one per module, and the list of those in use."""

from collections.abc import Sequence

import numpy as np

from features.typing import Ints
from training.models.recommender.candidates.base import (
    CandidateGenerator,
    RecommenderInputs,
    Scores,
    inputs_at,
)
from training.models.recommender.candidates.cold_start import ColdStart
from training.models.recommender.candidates.ease import Ease
from training.models.recommender.candidates.popular import Popular
from training.models.recommender.candidates.repeat import Repeat

__all__ = [
    "CandidateGenerator",
    "RecommenderInputs",
    "Scores",
    "collect_candidates",
    "default_generators",
    "inputs_at",
]


def default_generators() -> list[CandidateGenerator]:
    """Return the generators in use, unfitted; `Repeat` comes first."""
    return [Repeat(), Ease(), Popular(), ColdStart()]


def collect_candidates(
    scores: Sequence[Scores], limits: Sequence[int], products: int
) -> tuple[Ints, Ints]:
    """Unite the candidates of all generators for a block of customers.

    The first generator proposes products that the customer bought before, the others products
    that are new to the customer.

    Parameters
    ----------
    scores, limits
        By generator.
    products
        Number of products.

    Returns
    -------
    tuple
        Positions in the block and codes of products, distinct, ordered by both.
    """
    no_pairs = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    bought = scores[0].top(products, no_pairs)
    candidates = [scores[0].top(limits[0], no_pairs)]
    candidates += [
        values.top(limit, bought) for values, limit in zip(scores[1:], limits[1:], strict=True)
    ]
    keys = np.unique(np.concatenate([rows * products + cols for rows, cols in candidates]))
    positions, cols = np.divmod(keys, products)
    return positions, cols
