"""A small neural network on a candidate's features, averaged with the boosters.

Features in, log-odds out. Trees and a network make different errors. Each input is encoded in
one byte: a published version stores the codes of static features, a request adds those of
context features, and both decode as in training. `neural_training` fits the network. Imported by
serving, so it loads no library that only training needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Float32s, Floats, Ints
from training.models.recommender.ranking.context_features import feature_matrix

Codes = NDArray[np.int8]

# Size of a code in standard deviations; codes cover four standard deviations on either side.
STEP = 1 / 31
LARGEST = 124
MISSING = -128
# Midpoints of the path from the average candidate to the explained one (integrated gradients).
PATH = (np.arange(8) + 0.5) / 8
DIGITS = 6
# Rows that are computed together, so that intermediate results fit into the cache.
CHUNK_ROWS = 2048

ENCODINGS = ("static", "context")
ARRAYS = ("marked", "hidden_weights", "hidden_bias", "output_weights", "output_bias")


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
        logs = [_signed_logs(values) for values in features.values()]
        known = [values[~np.isnan(values)] for values in logs]
        centre = [values.mean(dtype=np.float64) if len(values) else 0.0 for values in known]
        spread = [values.std(dtype=np.float64) if len(values) else 0.0 for values in known]
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


@dataclass(frozen=True)
class NeuralNet:
    """One hidden layer of rectifiers over decoded inputs and indicators of missing inputs.

    Attributes
    ----------
    static, context
        Encodings of the static and of the context features.
    outputs
        Name of each output.
    marked
        Columns with an indicator of missing values.
    hidden_weights, hidden_bias
        Of the hidden layer; shapes (columns and indicators, hidden) and (hidden,).
    output_weights, output_bias
        Of the outputs; shapes (hidden, outputs) and (outputs,).
    """

    static: InputEncoding
    context: InputEncoding
    outputs: tuple[str, ...]
    marked: Ints
    hidden_weights: Floats
    hidden_bias: Floats
    output_weights: Floats
    output_bias: Floats

    @property
    def columns(self) -> tuple[str, ...]:
        """Features in the order of the codes: static, then context."""
        return self.static.columns + self.context.columns

    def codes(self, static: Codes, context: Mapping[str, NDArray[Any]]) -> Codes:
        """Append the codes of context features to those of static features."""
        return np.concatenate([static, self.context.encode(context, len(static))], axis=1)

    def log_odds(self, codes: Codes) -> dict[str, Floats]:
        """Return the log-odds of each row by output."""
        values = np.empty((len(codes), len(self.outputs)))
        for start in range(0, len(codes), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            values[chunk] = self._forward(decode(codes[chunk], self.marked))
        return dict(zip(self.outputs, values.T, strict=True))

    def contributions(self, codes: Codes) -> dict[str, Floats]:
        """Split the log-odds of each row into one part per column and a base.

        Source: integrated gradients (Sundararajan, Taly and Yan 2017) from the average
        candidate. The base is the remainder, so that the parts add up to the log-odds.

        Returns
        -------
        dict
            By output, shape (rows, columns + 1).
        """
        contributions = {}
        for output, log_odds in self.log_odds(codes).items():
            parts = self.attributions(codes, {output: 1.0})
            contributions[output] = np.column_stack([parts, log_odds - parts.sum(axis=1)])
        return contributions

    def attributions(self, codes: Codes, weights: Mapping[str, float]) -> Floats:
        """Attribute a weighted sum of the outputs' log-odds to columns.

        Parameters
        ----------
        weights
            By output; zero for those that are absent.

        Returns
        -------
        numpy.ndarray
            Shape (rows, columns): `contributions` without the base.
        """
        values, columns = decode(codes, self.marked), codes.shape[1]
        path = PATH[:, None, None] * (values @ self.hidden_weights) + self.hidden_bias
        active = (path > 0).mean(axis=0)
        gradient = self.output_weights @ np.array(
            [weights.get(output, 0.0) for output in self.outputs]
        )
        parts: Floats = (active * gradient) @ self.hidden_weights.T * values
        by_column = parts[:, :columns]
        by_column[:, self.marked] += parts[:, columns:]
        return by_column

    def _forward(self, values: Float32s) -> Floats:
        hidden = values @ self.hidden_weights
        hidden += self.hidden_bias
        np.maximum(hidden, 0, out=hidden)
        # The last digits of a matrix product depend on the number of rows.
        return np.asarray(np.round(hidden @ self.output_weights + self.output_bias, DIGITS))

    def save(self, path: Path) -> None:
        """Write one file of arrays."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        arrays["outputs"] = np.array(self.outputs, dtype=np.str_)
        for name in ENCODINGS:
            encoding: InputEncoding = getattr(self, name)
            arrays[f"{name}.columns"] = np.array(encoding.columns, dtype=np.str_)
            arrays[f"{name}.centre"] = encoding.centre
            arrays[f"{name}.spread"] = encoding.spread
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            static, context = (
                InputEncoding(
                    tuple(arrays[f"{name}.columns"].tolist()),
                    arrays[f"{name}.centre"],
                    arrays[f"{name}.spread"],
                )
                for name in ENCODINGS
            )
            outputs = tuple(arrays["outputs"].tolist())
            return cls(static, context, outputs, *(arrays[name] for name in ARRAYS))


def decode(codes: Codes, marked: Ints) -> Float32s:
    """Return standardised values, zero where missing, and a 0/1 column per marked column."""
    missing, (rows, columns) = codes == MISSING, codes.shape
    values = np.empty((rows, columns + len(marked)), np.float32)
    np.multiply(codes, np.float32(STEP), out=values[:, :columns])
    np.copyto(values[:, :columns], 0, where=missing)
    values[:, columns:] = missing[:, marked]
    return values


def _signed_logs(values: NDArray[Any]) -> Float32s:
    single = np.asarray(values, np.float32)
    return np.asarray(np.copysign(np.log1p(np.abs(single)), single))
