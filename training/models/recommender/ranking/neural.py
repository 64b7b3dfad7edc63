"""A small neural net of a candidate's features, beside the boosters; light imports only.

Features in, log-odds out. Trees step where a net bends, so that the two err differently. What
a net reads is coded in a byte a feature: a published version holds what does not change, a
request adds what does, and both read as training did. `net_training` fits it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.typing import Floats
from training.models.recommender.ranking.context_features import laid_out

Codes = NDArray[np.int8]

# A code is so much of a standard deviation; four of them on either side are told apart.
STEP = 1 / 31
LARGEST = 124
MISSING = -128
# Points on the way from the average candidate to the one explained.
PATH = (np.arange(8) + 0.5) / 8
DIGITS = 6
# Rows that are worked on together, so that what is found in between stays within the cache.
AT_ONCE = 2048

PARTS = ("taste", "moment")
ARRAYS = ("marked", "weights", "bias", "slopes", "intercepts")


@dataclass(frozen=True)
class Inputs:
    """How features become codes: the logs of their sizes, standardised.

    Attributes
    ----------
    columns
        Names of the features.
    centre, spread
        Of the logs, over what the net learned from.
    """

    columns: tuple[str, ...]
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def fit(cls, features: Mapping[str, NDArray[Any]]) -> Self:
        """Take the measure of features by name; of what is always missing nothing is learned."""
        logs = [_logs(values) for values in features.values()]
        known = [one[~np.isnan(one)] for one in logs]
        centre = [one.mean(dtype=np.float64) if len(one) else 0.0 for one in known]
        spread = [one.std(dtype=np.float64) if len(one) else 0.0 for one in known]
        return cls(
            tuple(features),
            np.asarray(centre, np.float32),
            np.maximum(np.asarray(spread, np.float32), np.float32(1e-6)),
        )

    def codes(self, features: Mapping[str, NDArray[Any]], rows: int) -> Codes:
        """Code features by name, one row a candidate.

        What is not there is zero, as a kind of promotion that nobody planned is.
        """
        found = np.empty((rows, len(self.columns)), np.int8)
        for start in range(0, rows, AT_ONCE):
            some = slice(start, min(start + AT_ONCE, rows))
            part = {name: values[some] for name, values in features.items()}
            found[some] = self.coded(laid_out(part, self.columns, some.stop - some.start))
        return found

    def coded(self, laid: NDArray[np.float32]) -> Codes:
        """Code features that are laid out in the order of the columns."""
        steps = _logs(laid)
        steps -= self.centre
        steps /= self.spread * np.float32(STEP)
        np.clip(np.rint(steps, out=steps), -LARGEST, LARGEST, out=steps)
        np.copyto(steps, MISSING, where=np.isnan(steps))
        return steps.astype(np.int8)


@dataclass(frozen=True)
class Net:
    """One hidden layer of rectifiers over codes, and over whether they are missing.

    Attributes
    ----------
    taste, moment
        What does not depend on the moment, and what does.
    learners
        What each output is the log-odds of.
    marked
        Columns of which it is read whether they are missing.
    weights
        Shape (columns and marked, hidden).
    bias
        Of the hidden layer.
    slopes, intercepts
        From the hidden layer to the outputs; shapes (hidden, learners) and (learners,).
    """

    taste: Inputs
    moment: Inputs
    learners: tuple[str, ...]
    marked: NDArray[np.int64]
    weights: Floats
    bias: Floats
    slopes: Floats
    intercepts: Floats

    @property
    def columns(self) -> tuple[str, ...]:
        """Features in the order of the codes: the taste's, then the moment's."""
        return self.taste.columns + self.moment.columns

    def codes(self, taste: Codes, moment: Mapping[str, NDArray[Any]]) -> Codes:
        """Lay a taste's codes beside those of a moment's features."""
        return np.concatenate([taste, self.moment.codes(moment, len(taste))], axis=1)

    def odds(self, codes: Codes) -> dict[str, Floats]:
        """Log-odds of each row by learner."""
        found = np.empty((len(codes), len(self.learners)))
        for start in range(0, len(codes), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            found[some] = self._of(read(codes[some], self.marked))
        return dict(zip(self.learners, found.T, strict=True))

    def contributions(self, codes: Codes) -> dict[str, Floats]:
        """Split each row's log-odds into one part a column and the base; they add up to it.

        Source: integrated gradients (Sundararajan, Taly and Yan 2017) from the average
        candidate; what the sum over the path leaves is the base's.

        Returns
        -------
        dict
            By learner, shape (rows, columns + 1).
        """
        found = {}
        for learner, odds in self.odds(codes).items():
            parts = self.moved(codes, {learner: 1.0})
            found[learner] = np.column_stack([parts, odds - parts.sum(axis=1)])
        return found

    def moved(self, codes: Codes, worth: Mapping[str, float]) -> Floats:
        """Say how far each column moved rows' log-odds, each learner's times its worth.

        Returns
        -------
        numpy.ndarray
            Shape (rows, columns); what `contributions` says but for the base.
        """
        values, columns = read(codes, self.marked), codes.shape[1]
        opened = (PATH[:, None, None] * (values @ self.weights) + self.bias > 0).mean(axis=0)
        slopes = self.slopes @ np.array([worth.get(learner, 0.0) for learner in self.learners])
        parts: Floats = (opened * slopes) @ self.weights.T * values
        found = parts[:, :columns]
        found[:, self.marked] += parts[:, columns:]
        return found

    def _of(self, values: NDArray[np.float32]) -> Floats:
        hidden = values @ self.weights
        hidden += self.bias
        np.maximum(hidden, 0, out=hidden)
        # How many rows are asked about at once changes the last digits of a product.
        return np.asarray(np.round(hidden @ self.slopes + self.intercepts, DIGITS))

    def save(self, path: Path) -> None:
        """Write one file of arrays."""
        kept = {name: getattr(self, name) for name in ARRAYS}
        kept["learners"] = np.array(self.learners, dtype=np.str_)
        for part in PARTS:
            inputs: Inputs = getattr(self, part)
            kept[f"{part}.columns"] = np.array(inputs.columns, dtype=np.str_)
            kept[f"{part}.centre"], kept[f"{part}.spread"] = inputs.centre, inputs.spread
        np.savez(path, **kept)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            taste, moment = (
                Inputs(
                    tuple(kept[f"{part}.columns"].tolist()),
                    kept[f"{part}.centre"],
                    kept[f"{part}.spread"],
                )
                for part in PARTS
            )
            learners = tuple(kept["learners"].tolist())
            return cls(taste, moment, learners, *(kept[name] for name in ARRAYS))


def read(codes: Codes, marked: NDArray[np.int64]) -> NDArray[np.float32]:
    """Turn codes into what a net weighs: standardised sizes, then 1 for each that is missing."""
    missing, (rows, columns) = codes == MISSING, codes.shape
    found = np.empty((rows, columns + len(marked)), np.float32)
    np.multiply(codes, np.float32(STEP), out=found[:, :columns])
    np.copyto(found[:, :columns], 0, where=missing)
    found[:, columns:] = missing[:, marked]
    return found


def _logs(values: NDArray[Any]) -> NDArray[np.float32]:
    of = np.asarray(values, np.float32)
    return np.asarray(np.copysign(np.log1p(np.abs(of)), of))
