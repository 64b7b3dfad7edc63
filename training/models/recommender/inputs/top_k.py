"""Selection of the largest values within groups of a flat, grouped array.

Group codes in ascending order and values in; group boundaries and masks out.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.typing import Bools, Ints


def group_boundaries(groups: NDArray[np.integer[Any]], size: int) -> Ints:
    """Return the offset at which each group starts, followed by the total length.

    Parameters
    ----------
    groups
        Group code of each entry, ascending, below `size`.
    size
        Number of groups.

    Returns
    -------
    numpy.ndarray
        Shape (size + 1,); group g holds the entries `[result[g], result[g + 1])`.
    """
    counts = np.bincount(groups, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def at_least_kth_largest(
    groups: NDArray[np.integer[Any]], values: NDArray[Any], k: int, size: int
) -> Bools:
    """Mark values that are at least the k-th largest value of their group.

    A partition is much cheaper than a sort: callers sort only the marked entries.

    Parameters
    ----------
    groups
        Group code of each value, ascending, below `size`.
    """
    by_group = np.split(values, group_boundaries(groups, size)[1:-1])
    thresholds = [
        np.partition(members, -k)[-k] if len(members) > k else -np.inf for members in by_group
    ]
    return np.asarray(values >= np.array(thresholds, np.float64)[groups])
