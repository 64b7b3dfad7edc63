"""A LightGBM booster that remembers its columns and categories; shared by all models.

LightGBM matches features by position and treats unseen categories as missing, both in
silence; here the order of columns and the levels of categories travel with the model.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from features.errors import InvalidInput
from features.typing import Floats
from training.estimators.path_attribution import Paths

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
    """A fitted LightGBM model with the frame layout that it was fitted on.

    Attributes
    ----------
    columns
        Feature names in the order of the matrix.
    categories
        Levels of each feature of strings; a level's position is its code.
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
        group: NDArray[np.int64] | None = None,
        valid: tuple[pl.DataFrame, ArrayLike] | None = None,
        early_stopping_rounds: int | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> Self:
        """Fit on a frame of numbers and, in the columns named `categorical`, strings.

        Other strings are ordered by the first number in them, as steps of age and income are.
        With `valid` and `early_stopping_rounds`, the number of rounds is the best on `valid`.
        The same input gives the same model.
        """
        categories = {
            name: tuple(features.get_column(name).drop_nulls().unique().sort().to_list())
            for name in categorical
        }
        categories |= {
            name: _in_order(features.get_column(name).drop_nulls().unique().to_list())
            for name, dtype in features.schema.items()
            if dtype == pl.String and name not in categories
        }
        columns = tuple(features.columns)
        settings = {
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads,
            "seed": seed,
            **params,
        }
        if features.height == 1:  # LightGBM fails where nothing falls into a bag
            settings["bagging_fraction"] = 1.0
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
            valid_sets.append(
                train.create_valid(matrix(valid[0], columns, categories), np.asarray(valid[1]))
            )
        native = lgb.train(
            settings, train, num_boost_round=rounds, valid_sets=valid_sets, callbacks=callbacks
        )
        return cls(columns, categories, native, threads)

    def predict(self, features: pl.DataFrame, *, raw_score: bool = False) -> Floats:
        """Predict for each row; columns are found by name.

        Raises
        ------
        InvalidInput
            If a feature is missing from the frame.
        """
        found: Floats = np.asarray(
            self.native.predict(
                matrix(features, self.columns, self.categories),
                raw_score=raw_score,
                num_threads=self.threads,
            )
        )
        return found

    def contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split each row's raw score into one part a feature and `base`; they add up to it.

        Source: TreeSHAP (Lundberg et al. 2020) as LightGBM implements it.
        """
        if features.is_empty():  # LightGBM divides by the number of rows here
            return pl.DataFrame(schema=dict.fromkeys([*self.columns, "base"], pl.Float64))
        parts = self.native.predict(
            matrix(features, self.columns, self.categories),
            pred_contrib=True,
            num_threads=self.threads,
        )
        return pl.DataFrame(np.asarray(parts), schema=[*self.columns, "base"], orient="row")

    def path_contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        """Split each row's raw score as `contributions` does, at a twentieth of its cost.

        See `training.estimators.path_attribution` for what a part means.
        """
        if features.is_empty():
            return pl.DataFrame(schema=dict.fromkeys([*self.columns, "base"], pl.Float64))
        leaves = self.native.predict(
            matrix(features, self.columns, self.categories),
            pred_leaf=True,
            num_threads=self.threads,
        )
        parts = self._paths.contributions(np.asarray(leaves, dtype=np.int32))
        return pl.DataFrame(parts, schema=[*self.columns, "base"], orient="row")

    @cached_property
    def _paths(self) -> Paths:
        return Paths.of(self.native)

    def importance(self) -> dict[str, float]:
        """Total gain by feature, the largest first."""
        gain = self.native.feature_importance("gain")
        pairs = sorted(zip(self.columns, gain, strict=True), key=lambda pair: -pair[1])
        return {name: float(value) for name, value in pairs}

    def save(self, path: Path) -> None:
        """Write `<path>.txt` (LightGBM's native text) and `<path>.json` (columns, categories)."""
        path.with_suffix(".txt").write_text(
            self.native.model_to_string(num_iteration=self.native.best_iteration or None)
        )
        layout = {"columns": self.columns, "categories": dict(self.categories)}
        path.with_suffix(".json").write_text(json.dumps(layout, indent=1))

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Self:
        """Read what `save` wrote."""
        layout = json.loads(path.with_suffix(".json").read_text())
        categories = {name: tuple(levels) for name, levels in layout["categories"].items()}
        native = lgb.Booster(model_str=path.with_suffix(".txt").read_text())
        return cls(tuple(layout["columns"]), categories, native, threads)


def _in_order(levels: Iterable[str]) -> tuple[str, ...]:
    """Sort levels by the first number in each, those without one last."""

    def key(level: str) -> tuple[float, str]:
        number = NUMBER.search(level)
        return (float(number[0]) if number else math.inf, level)

    return tuple(sorted(levels, key=key))


def matrix(
    features: pl.DataFrame, columns: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> NDArray[np.float32]:
    """Lay a frame out as LightGBM wants it: columns in order, categories as codes.

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
    codes = [
        pl.col(name).cast(pl.Enum(levels), strict=False).to_physical().cast(pl.Float32).alias(name)
        for name, levels in categories.items()
    ]
    laid_out = features.select(columns).with_columns(codes).cast(pl.Float32)
    found: NDArray[np.float32] = laid_out.fill_null(np.nan).to_numpy(order="c")
    return found
