"""Drift between two samples of a feature: arrays in, the population stability index out."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from features.typing import Floats

# Keeps the index finite where a bin is empty in one of the samples.
_LEAST_SHARE = 1e-4


def psi(expected: Floats, actual: Floats, bins: int = 10) -> float:
    """Return the population stability index of a feature.

    Up to .1 two samples count as alike, beyond .25 as different.

    Parameters
    ----------
    expected, actual
        Values of both samples. Missing values are a bin of their own.
    bins
        Bins at the quantiles of `expected`; fewer where values coincide.

    Returns
    -------
    float
        Sum over bins of the difference of shares times the difference of their logarithms; 0
        where a sample is empty.
    """
    if not (len(expected) and len(actual)):
        return 0.0
    known = expected[~np.isnan(expected)]
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(known, inner)) if len(known) else np.empty(0)
    before, now = (_shares(values, edges) for values in (expected, actual))
    return float(((now - before) * np.log(now / before)).sum())


def psi_by_column(
    expected: pl.DataFrame, actual: pl.DataFrame, columns: Iterable[str]
) -> dict[str, float]:
    """Return `psi` of each of some columns that both frames have; null counts as missing."""
    return {
        name: psi(_floats(expected, name), _floats(actual, name))
        for name in columns
        if name in expected.columns and name in actual.columns
    }


def _floats(frame: pl.DataFrame, column: str) -> Floats:
    return frame.get_column(column).cast(pl.Float64).fill_null(np.nan).to_numpy()


def _shares(values: Floats, edges: Floats) -> Floats:
    """Return the share of values in each bin: the missing ones, then from low to high."""
    numbers = np.where(np.isnan(values), 0, 1 + np.searchsorted(edges, values))
    counts = np.bincount(numbers, minlength=len(edges) + 2)
    return np.maximum(counts / len(values), _LEAST_SHARE)
