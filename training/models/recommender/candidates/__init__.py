"""Candidate sources of the recommender, one a file; this list is where one is added."""

from collections.abc import Sequence

import numpy as np

from features.typing import Ints
from training.models.recommender.candidates.als import Als
from training.models.recommender.candidates.base import RecommenderInputs, Scores, Source, inputs_at
from training.models.recommender.candidates.cold_start import LookAlikes
from training.models.recommender.candidates.ease import Ease
from training.models.recommender.candidates.popular import Popular
from training.models.recommender.candidates.popular_at_location import PopularHere
from training.models.recommender.candidates.popular_in_segment import PopularAlike
from training.models.recommender.candidates.repeat import Own
from training.models.recommender.candidates.same_category import SameKind
from training.models.recommender.candidates.seasonal import Seasonal
from training.models.recommender.candidates.tifu_knn import TifuKnn
from training.models.recommender.candidates.user_knn import UserKnn

__all__ = ["RecommenderInputs", "Scores", "Source", "collect", "default_sources", "inputs_at"]


def default_sources() -> list[Source]:
    """List the sources; the customer's own products come first."""
    return [
        Own(),
        Ease(),
        TifuKnn(),
        UserKnn(),
        Als(),
        SameKind(),
        Popular(),
        PopularHere(),
        PopularAlike(),
        Seasonal(),
        LookAlikes(),
    ]


def collect(scores: Sequence[Scores], limits: Sequence[int], products: int) -> tuple[Ints, Ints]:
    """Unite the proposals of all sources for a block of customers.

    The first source proposes what a customer bought before; the others add what is new.

    Parameters
    ----------
    scores, limits
        Of each source.
    products
        How many there are.

    Returns
    -------
    tuple
        Positions in the block, and codes of products; distinct, ordered by both.
    """
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    everything = scores[0].best(products, nothing)
    proposals = [scores[0].best(limits[0], nothing)]
    proposals += [
        one.best(limit, everything) for one, limit in zip(scores[1:], limits[1:], strict=True)
    ]
    keys = np.unique(np.concatenate([at * products + cols for at, cols in proposals]))
    positions, cols = np.divmod(keys, products)
    return positions, cols
