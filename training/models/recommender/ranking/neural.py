"""A small neural network on a candidate's codes, added to the boosters.

Codes in; scores in units of log-odds out. Trees and a network make different errors.
`neural_training` fits it. Imported by serving, so it loads no library that only training needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Float32s, Floats, Ints
from training.models.recommender.ranking.encoding import MISSING, STEP, Codes

# Midpoints of the path from the average candidate to the explained one (integrated gradients).
PATH = (np.arange(8) + 0.5) / 8
DIGITS = 6
# Rows that are computed together, so that intermediate results fit into the cache.
CHUNK_ROWS = 2048


@dataclass(frozen=True)
class NeuralNet:
    """One hidden layer of rectifiers over codes and indicators of missing codes.

    Attributes
    ----------
    outputs
        Name of each output.
    marked
        Columns with an indicator of missing values.
    hidden_weights, hidden_bias
        Of the hidden layer; shapes (columns and indicators, hidden) and (hidden,).
    output_weights, output_bias
        Of the outputs; shapes (hidden, outputs) and (outputs,).
    """

    outputs: NDArray[np.str_]
    marked: Ints
    hidden_weights: Floats
    hidden_bias: Floats
    output_weights: Floats
    output_bias: Floats

    def scores(self, codes: Codes) -> dict[str, Floats]:
        """Return the score of each row by output."""
        values = np.empty((len(codes), len(self.outputs)))
        for start in range(0, len(codes), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            hidden = standardised(codes[chunk], self.marked) @ self.hidden_weights
            hidden += self.hidden_bias
            np.maximum(hidden, 0, out=hidden)
            # The last digits of a matrix product depend on the number of rows.
            values[chunk] = np.round(hidden @ self.output_weights + self.output_bias, DIGITS)
        return dict(zip(self.outputs.tolist(), values.T, strict=True))

    def attributions(self, codes: Codes, weights: Mapping[str, float]) -> Floats:
        """Attribute a weighted sum of the outputs to columns.

        Source: integrated gradients (Sundararajan, Taly and Yan 2017) from the average
        candidate, whose score is the remainder.

        Parameters
        ----------
        weights
            By output; zero for those that are absent.

        Returns
        -------
        numpy.ndarray
            Shape (rows, columns).
        """
        values, columns = standardised(codes, self.marked), codes.shape[1]
        path = PATH[:, None, None] * (values @ self.hidden_weights) + self.hidden_bias
        active = (path > 0).mean(axis=0)
        gradient = self.output_weights @ np.array(
            [weights.get(name, 0.0) for name in self.outputs.tolist()]
        )
        parts: Floats = (active * gradient) @ self.hidden_weights.T * values
        by_column = parts[:, :columns]
        by_column[:, self.marked] += parts[:, columns:]
        return by_column

    def save(self, path: Path) -> None:
        """Write one file of arrays."""
        arrays: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(*(arrays[item.name] for item in fields(cls)))


def standardised(codes: Codes, marked: Ints) -> Float32s:
    """Return values in standard deviations, zero where missing, and a 0/1 column per marked one."""
    missing, (rows, columns) = codes == MISSING, codes.shape
    values = np.empty((rows, columns + len(marked)), np.float32)
    np.multiply(codes, np.float32(STEP), out=values[:, :columns])
    np.copyto(values[:, :columns], 0, where=missing)
    values[:, columns:] = missing[:, marked]
    return values
