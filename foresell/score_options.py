"""Base of the options of `foresell score`: one frozen dataclass per task that has any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from features.dataset import Dataset

if TYPE_CHECKING:
    import polars as pl

# (fitted model, dataset, as_of) -> rows to write.
Scorer = Callable[[Any, Dataset, datetime], "pl.DataFrame"]


@dataclass(frozen=True)
class ScoreOptions:
    """Options of a task; the fields of a subclass are the flags of that task alone."""

    def task(self, model: str) -> str:
        """Return the name of the task that predicts, given the model on the command line."""
        return model

    def set_up(self) -> dict[str, Any]:
        """Return further arguments of `training.task_setup.set_up`."""
        return {}

    def scorer(self) -> Scorer | None:
        """Return what computes the rows; None for the model's `predict`.

        Raises
        ------
        InvalidInput
            If options do not go together, or the value of one is unknown.
        """
        return None
