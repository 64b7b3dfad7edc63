"""Answers about the next purchase from a category, from what its model published."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.errors import InvalidInput
from serving.answers.histories import Histories
from serving.answers.next_purchase import CHANCES, read
from training.models.next_category import ANSWERS, CURVES, NextCategoryModel, unknown_category
from training.models.next_purchase import QUANTILES, WITHIN_DAYS

Floats = NDArray[np.float64]
# What makes a category the next: the day itself is out of reach, two weeks are not.
SOON = "p_within_14"


@dataclass(frozen=True)
class NextCategoryAnswers:
    """One published version; the distributions stay on disk and are read as they are asked for.

    Attributes
    ----------
    model
        The model, for the categories' own distributions.
    answers
        What it says in batch, a row a customer and category.
    rows
        Each customer's and category's row in it.
    curves
        P(purchase within d days), d = 1 to the horizon, in the order of `answers`.
    """

    model: NextCategoryModel
    answers: pl.DataFrame
    rows: dict[tuple[str, str], int]
    curves: Floats

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `NextCategoryModel.publish` wrote."""
        answers = pl.read_parquet(folder / ANSWERS)
        pairs = zip(answers.get_column("customer_id"), answers.get_column("category"), strict=True)
        return cls(
            NextCategoryModel.load(folder / "model", threads=1),
            answers,
            {pair: row for row, pair in enumerate(pairs)},
            np.load(folder / CURVES, mmap_mode="r"),
        )

    def answer(
        self,
        who: Sequence[str] | Histories,
        category: str,
        within_days: Sequence[int] = WITHIN_DAYS,
        quantiles: Sequence[float] = QUANTILES,
    ) -> list[dict[str, Any]]:
        """Answer for each customer and one category, in the order asked.

        Parameters
        ----------
        who, within_days, quantiles
            As for the next purchase of anything; customers by id.
        category
            One of those that are answered for.

        Returns
        -------
        list of dict
            As for the next purchase of anything, and category. Basis is `history` with three
            purchases from the category or more, else `population`: the category's distribution.

        Raises
        ------
        InvalidInput
            If the category is not answered for, a number of days is beyond the horizon, or orders
            are posted in place of ids.
        """
        self._check(who, category, within_days)
        if isinstance(who, Histories):  # refused above
            return []
        known = {one: self.rows[one, category] for one in who if (one, category) in self.rows}
        found = list(known.values())
        further = read(np.asarray(self.curves[found]), within_days, quantiles)
        said = {
            row["customer_id"]: _lean(row) | more | {"basis": "history"}
            for row, more in zip(self.answers[found].iter_rows(named=True), further, strict=True)
        }
        curve = self.model.curves_[[self.model.names_.index(category)]]
        others = {
            **_lean(self.model.of_category(category)),
            **read(curve, within_days, quantiles)[0],
            "basis": "population",
        }
        return [said.get(one) or others | {"customer_id": one} for one in who]

    def soonest(self, customer_ids: Iterable[str], count: int) -> dict[str, list[dict[str, Any]]]:
        """Return the categories that each customer likeliest buys from within two weeks.

        Returns
        -------
        dict
            By customer, up to `count` rows of what is answered in batch, the likeliest first;
            a customer without a category of enough history is absent.
        """
        found = {}
        for one in customer_ids:
            if one in self._spans:
                start, many = self._spans[one]
                mine = self.answers.slice(start, many).sort(
                    SOON, "category", descending=[True, False]
                )
                found[one] = mine.head(count).to_dicts()
        return found

    @cached_property
    def likeliest(self) -> pl.DataFrame:
        """Each customer's likeliest category of the next two weeks, and its chance."""
        ranked = self.answers.sort(SOON, "category", descending=[True, False])
        return ranked.unique("customer_id", keep="first", maintain_order=True).select(
            "customer_id",
            pl.col("category").alias("next_category"),
            pl.col(SOON).alias(f"next_category_{SOON}"),
        )

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        """Where each customer's rows begin, and how many there are: they lie side by side."""
        runs = self.answers.get_column("customer_id").rle().struct.unnest()
        starts = runs.get_column("len").cum_sum() - runs.get_column("len")
        lengths = zip(starts, runs.get_column("len"), strict=True)
        return dict(zip(runs.get_column("value"), lengths, strict=True))

    def _check(
        self, who: Sequence[str] | Histories, category: str, within_days: Sequence[int]
    ) -> None:
        if category not in self.model.names_:
            raise unknown_category(category, self.model.names_)
        if isinstance(who, Histories):
            raise InvalidInput(
                "category cannot be answered for posted histories; ask by customer_ids, or leave "
                "category out.",
                field="category",
            )
        horizon = self.model.horizon_days
        for number, days in enumerate(within_days):
            if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= horizon:
                raise InvalidInput(
                    f"within_days[{number}] = {days!r} cannot be answered; customers are followed "
                    f"for {horizon} days: ask for whole days from 1 to {horizon}.",
                    field=f"within_days[{number}]",
                )


def _lean(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in CHANCES}
