"""Encoding of a candidate's features in one byte each.

Features in; codes out, and back to the numbers that the ranker reads. A published version stores
the codes of static features, a request adds those of context features, and the ranker is trained on
codes too. Imported by serving, so it loads no library that only training needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Float32s
from training.models.recommender.ranking.context_features import feature_matrix

Codes = NDArray[np.int8]

# Size of a code in standard deviations; codes cover four standard deviations on either side.
STEP = 1 / 31
LARGEST = 124
MISSING = -128
# Rows that are computed together, so that intermediate results fit into the cache.
CHUNK_ROWS = 2048


@dataclass(frozen=True)
class InputEncoding:
    """Encoding of features as int8 codes of their standardised logs.

    Attributes
    ----------
    columns
        Names of the features.
    centre, spread
        Mean and standard deviation of the logs over the training examples.
    """

    columns: tuple[str, ...]
    centre: Float32s
    spread: Float32s

    @classmethod
    def fit(cls, features: Mapping[str, NDArray[Any]]) -> Self:
        """Estimate centre and spread of each feature; 0 for features that are always missing."""
        centre, spread = [], []
        for values in features.values():
            logs = _signed_logs(values)
            known = logs[~np.isnan(logs)]
            centre.append(known.mean(dtype=np.float64) if len(known) else 0.0)
            spread.append(known.std(dtype=np.float64) if len(known) else 0.0)
        return cls(
            tuple(features),
            np.asarray(centre, np.float32),
            np.maximum(np.asarray(spread, np.float32), np.float32(1e-6)),
        )

    def encode(self, features: Mapping[str, NDArray[Any]], rows: int) -> Codes:
        """Encode features by name, one row per candidate; absent features as `feature_matrix`."""
        codes = np.empty((rows, len(self.columns)), np.int8)
        for start in range(0, rows, CHUNK_ROWS):
            chunk = slice(start, min(start + CHUNK_ROWS, rows))
            part = {name: values[chunk] for name, values in features.items()}
            codes[chunk] = self.encode_matrix(
                feature_matrix(part, self.columns, chunk.stop - chunk.start)
            )
        return codes

    def encode_matrix(self, values: Float32s) -> Codes:
        """Encode a matrix of features in the order of `columns`."""
        steps = _signed_logs(values)
        steps -= self.centre
        steps /= self.spread * np.float32(STEP)
        np.clip(np.rint(steps, out=steps), -LARGEST, LARGEST, out=steps)
        np.copyto(steps, MISSING, where=np.isnan(steps))
        return steps.astype(np.int8)


def decode(codes: Codes) -> Float32s:
    """Return codes as numbers, NaN where the feature is missing."""
    values = codes.astype(np.float32)
    values[codes == MISSING] = np.nan
    return values


def _signed_logs(values: NDArray[Any]) -> Float32s:
    single = np.asarray(values, np.float32)
    return np.asarray(np.copysign(np.log1p(np.abs(single)), single))
