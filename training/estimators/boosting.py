"""Gradient boosted trees by LightGBM that keep the order of columns and the levels of categories.

In: frames of numbers and texts. Out: a fitted booster, its predictions and their attributions.
LightGBM matches features by position and treats unknown categories as missing, without an error;
the booster therefore stores its columns and levels and matches them by name.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from features.errors import InvalidInput
from features.frames import frame_of_rows
from features.typing import Float32s, Floats, Ints
from training.estimators.path_attribution import PathAttribution

# Up to so many rows, looking up codes is faster than casting a column.
FEW_ROWS = 100
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class BoostingOptions:
    """How LightGBM grows trees, under LightGBM's own names.

    A model holds its options in one field of this type. Outside the model they are flat: saved
    models, tuning and experiment tracking name `num_leaves`, not `trees.num_leaves` (see
    `training.contract.options_of`).

    Attributes
    ----------
    learning_rate
        Shrinkage of each tree.
    num_leaves
        Leaves of a tree at most.
    min_data_in_leaf
        Training rows in a leaf at least.
    feature_fraction
        Share of the features that a tree chooses from.
    bagging_fraction
        Share of the rows that a tree learns from; drawn anew for each tree.
    lambda_l2
        L2 penalty on leaf values.
    """

    learning_rate: float
    num_leaves: int
    min_data_in_leaf: int
    feature_fraction: float
    bagging_fraction: float = 0.7
    lambda_l2: float

    def params(self, **further: Any) -> dict[str, Any]:
        """Return LightGBM's parameters: these options, and what `further` adds or replaces."""
        return asdict(self) | {"bagging_freq": 1} | further


@dataclass(frozen=True)
class Booster:
    """A fitted LightGBM model with the columns and categories that it was fitted on.

    Attributes
    ----------
    columns
        Feature names in the order of the matrix.
    categories
        Levels of each text feature; the position of a level is its code.
    native
        The LightGBM booster.
    threads
        Threads used to predict; one is fastest for few rows.
    """

    columns: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    native: lgb.Booster
    threads: int = 1

    @classmethod
    def fit(
        cls,
        features: pl.DataFrame,
        label: ArrayLike,
        params: Mapping[str, Any],
        rounds: int,
        *,
        categorical: Sequence[str] = (),
        weight: Floats | None = None,
        init_score: Floats | None = None,
        group: Ints | None = None,
        valid: tuple[pl.DataFrame, ArrayLike] | None = None,
        valid_init_score: Floats | None = None,
        early_stopping_rounds: int | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> Self:
        """Fit on a frame of numbers and texts; the same input gives the same model.

        Parameters
        ----------
        features
            Text columns named in `categorical` are categories. Levels of other text columns are
            ordered by the first number in them, as those of age and income groups are.
        params, rounds
            LightGBM's parameters and the number of trees.
        weight, init_score, group
            As in `lightgbm.Dataset`.
        valid, valid_init_score, early_stopping_rounds
            Features and labels; if both are given, the number of trees is the best on `valid`,
            whose rows start from `valid_init_score`.
        """
        columns, categories = tuple(features.columns), _categories(features, categorical)
        train = lgb.Dataset(
            matrix(features, columns, categories),
            np.asarray(label),
            weight=weight,
            init_score=init_score,
            group=group,
            feature_name=[f"f{i}" for i in range(len(columns))],
            categorical_feature=[columns.index(name) for name in categorical],
            params={"verbosity": -1},
            free_raw_data=True,
        )
        callbacks: list[Callable[..., Any]] = []
        valid_sets = []
        if valid is not None and early_stopping_rounds is not None:
            callbacks.append(lgb.early_stopping(early_stopping_rounds, verbose=False))
            rows = matrix(valid[0], columns, categories)
            valid_sets.append(
                train.create_valid(rows, np.asarray(valid[1]), init_score=valid_init_score)
            )
        native = lgb.train(
            _settings(params, features.height, threads, seed),
            train,
            num_boost_round=rounds,
            valid_sets=valid_sets,
            callbacks=callbacks,
        )
        return cls(columns, categories, native, threads)

    def matrix(self, features: pl.DataFrame) -> Float32s:
        """Return the rows as this booster reads them; columns are matched by name.

        Raises
        ------
        InvalidInput
            If a feature is missing from the frame.
        """
        return matrix(features, self.columns, self.categories)

    def predict(self, features: pl.DataFrame | Float32s, *, raw_score: bool = False) -> Floats:
        """Predict each row of a frame, or of what `matrix` returns.

        Raises
        ------
        InvalidInput
            If a feature is missing from the frame.
        """
        return np.asarray(self._predict(features, raw_score=raw_score), dtype=np.float64)

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split each row's raw score into one contribution per feature and `base`, by TreeSHAP.

        Source: Lundberg et al. (2020), as implemented by LightGBM.
        """
        if features.is_empty():  # LightGBM divides by the number of rows
            return self._no_contributions()
        parts = self._predict(features, pred_contrib=True)
        return pl.DataFrame(parts, schema=[*self.columns, "base"], orient="row")

    def path_contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split each row's raw score like `contributions`, at a twentieth of the cost.

        See `training.estimators.path_attribution` for the definition of a contribution.
        """
        return frame_of_rows(self.path_parts(features), [*self.columns, "base"])

    def path_parts(self, features: pl.DataFrame | Float32s) -> Floats:
        """Return `path_contributions` as an array."""
        if not len(features):
            return np.zeros((0, len(self.columns) + 1))
        leaves = self._predict(features, pred_leaf=True)
        return self._paths.contributions(leaves.astype(np.int32))

    def importance(self) -> dict[str, float]:
        """Return the total gain of each feature, largest first."""
        gain = self.native.feature_importance("gain")
        pairs = sorted(zip(self.columns, gain, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) for name, value in pairs}

    def save(self, path: Path) -> None:
        """Write `<path>.txt` (LightGBM's native text) and `<path>.json` (columns, categories)."""
        path.with_suffix(".txt").write_text(
            self.native.model_to_string(num_iteration=self.native.best_iteration or None)
        )
        content = {"columns": self.columns, "categories": dict(self.categories)}
        path.with_suffix(".json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Self:
        """Read the files that `save` writes."""
        content = json.loads(path.with_suffix(".json").read_text())
        categories = {name: tuple(levels) for name, levels in content["categories"].items()}
        native = lgb.Booster(model_str=path.with_suffix(".txt").read_text())
        return cls(tuple(content["columns"]), categories, native, threads)

    @cached_property
    def _paths(self) -> PathAttribution:
        return PathAttribution.from_booster(self.native)

    def _predict(self, features: pl.DataFrame | Float32s, **options: bool) -> NDArray[Any]:
        rows = self.matrix(features) if isinstance(features, pl.DataFrame) else features
        return np.asarray(self.native.predict(rows, num_threads=self.threads, **options))

    def _no_contributions(self) -> pl.DataFrame:
        return pl.DataFrame(schema=dict.fromkeys([*self.columns, "base"], pl.Float64))


def _settings(params: Mapping[str, Any], rows: int, threads: int, seed: int) -> dict[str, Any]:
    settings = {
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "seed": seed,
        **params,
    }
    if rows == 1:  # LightGBM fails where the sample of a tree is empty
        settings["bagging_fraction"] = 1.0
    return settings


def _categories(features: pl.DataFrame, categorical: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the levels of each text column in the order of their codes."""
    categories = {
        name: tuple(features.get_column(name).drop_nulls().unique().sort().to_list())
        for name in categorical
    }
    return categories | {
        name: _by_first_number(features.get_column(name).drop_nulls().unique().to_list())
        for name, dtype in features.schema.items()
        if dtype == pl.String and name not in categories
    }


def _by_first_number(levels: Iterable[str]) -> tuple[str, ...]:
    """Sort levels by the first number in each, then by name; those without a number come last."""

    def key(level: str) -> tuple[float, str]:
        number = NUMBER.search(level)
        return (float(number[0]) if number else math.inf, level)

    return tuple(sorted(levels, key=key))


def matrix(
    features: pl.DataFrame, columns: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> Float32s:
    """Convert a frame to LightGBM's matrix: columns in order, categories as codes, nulls as NaN.

    Raises
    ------
    InvalidInput
        If a column is missing.
    """
    missing = [name for name in columns if name not in features.columns]
    if missing:
        raise InvalidInput(
            f"The features lack {', '.join(missing)}, on which the model was fitted; "
            "train it again, or compute features with the version it was trained with.",
            field=missing[0],
        )
    if features.height == 1:
        return _matrix_of_row(features, columns, categories)
    # Column by column: for few rows, a query takes ten times as long.
    rows = np.empty((features.height, len(columns)), np.float32)
    for number, name in enumerate(columns):
        values = features.get_column(name)
        if name in categories:
            rows[:, number] = _codes(values, tuple(categories[name]))
        else:
            rows[:, number] = values.to_numpy()
    return rows


def _matrix_of_row(
    features: pl.DataFrame, columns: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> Float32s:
    """Return the matrix of a single row, for which columns take a hundred times as long."""
    row = dict(zip(features.columns, features.row(0), strict=True))
    for name, levels in categories.items():
        row[name] = _positions(tuple(levels)).get(row[name], np.nan)
    # Of None, NumPy makes NaN.
    return np.array([[row[name] for name in columns]], np.float32)


def _codes(values: pl.Series, levels: tuple[str, ...]) -> Floats:
    """Return the position of each value among the levels, NaN for others."""
    if len(values) > FEW_ROWS:
        codes = values.cast(pl.Enum(levels), strict=False).to_physical()
        return codes.cast(pl.Float64).to_numpy()
    positions = _positions(levels)
    return np.array([positions.get(value, np.nan) for value in values.to_list()])


@lru_cache
def _positions(levels: tuple[str, ...]) -> dict[str | None, int]:
    return {level: position for position, level in enumerate(levels)}
