"""Answers about the next purchase from a category, from what its model published."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.typing import Floats
from serving.customers.posted_history import PostedCustomers, key_of
from serving.customers.survival import Waits, lean
from training.customers.population import Population
from training.customers.published import ANSWERS, CURVES, HISTORY
from training.customers.survival import QUANTILES, WITHIN_DAYS, check_days
from training.models.next_category.model import NORMS, NextCategoryModel, unknown_category
from training.models.next_category.person_periods import process_input

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
    history
        What the process knows of each, in that order: frequency, recency and age.
    norms
        What is usual in each category.
    population
        What customers whom the version does not know are scored with.
    """

    model: NextCategoryModel
    answers: pl.DataFrame
    rows: dict[tuple[str, str], int]
    curves: Floats
    history: Floats
    norms: pl.DataFrame
    population: Population

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
            np.load(folder / HISTORY, mmap_mode="r"),
            pl.read_parquet(folder / NORMS),
            Population.load(folder),
        )

    def answer(
        self,
        who: Sequence[str] | PostedCustomers,
        category: str,
        within_days: Sequence[int] = WITHIN_DAYS,
        quantiles: Sequence[float] = QUANTILES,
    ) -> list[dict[str, Any]]:
        """Answer for each customer and one category, in the order asked.

        Parameters
        ----------
        who, within_days, quantiles
            As for the next purchase of anything.
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
            If the category is not answered for, a number of days is not a whole one from 1 to
            3650, or an order lacks what is needed.
        """
        if category not in self.model.names_:
            raise unknown_category(category, self.model.names_)
        check_days(within_days, "within_days")
        others = self._others(category, within_days, quantiles)
        if isinstance(who, PostedCustomers):
            said, waits = self._posted(who)
            further = waits.read(within_days, quantiles)
            mine = [
                lean(row) | more | {"basis": "history"}
                for row, more in zip(said.to_dicts(), further, strict=True)
                if row["category"] == category
            ]
            return who.named(mine, lambda one: others | {"customer_id": one})
        known = {one: self.rows[one, category] for one in who if (one, category) in self.rows}
        found = list(known.values())
        history = np.asarray(self.history[found])
        x, t_x, t = history.T
        waits = Waits(np.asarray(self.curves[found], np.float64), self.model.process_, (x, t_x, t))
        answers = {
            row["customer_id"]: lean(row) | more | {"basis": "history"}
            for row, more in zip(
                self.answers[found].iter_rows(named=True),
                waits.read(within_days, quantiles),
                strict=True,
            )
        }
        return [answers.get(one) or others | {"customer_id": one} for one in who]

    def _posted(self, who: PostedCustomers) -> tuple[pl.DataFrame, Waits]:
        """Answer for posted customers and the categories of which they have enough history."""
        features = self.model.features(who.dataset(self.population), who.as_of, self.norms)
        curves = self.model.curves(features)
        waits = Waits(curves, self.model.process_, process_input(features))
        return self.model.answers(features, curves), waits

    def _others(
        self, category: str, within_days: Sequence[int], quantiles: Sequence[float]
    ) -> dict[str, Any]:
        """Answer for who has too little history of the category: as its others do."""
        one = (np.full(1, 2.0), np.zeros(1), np.ones(1))
        curve = self.model.curves_[[self.model.names_.index(category)]]
        return {
            **lean(self.model.of_category(category)),
            **Waits(curve, self.model.process_, one).read(within_days, quantiles)[0],
            "basis": "population",
        }

    def soonest(
        self, who: Sequence[str] | PostedCustomers, count: int
    ) -> list[list[dict[str, Any]]]:
        """Return the categories that each customer likeliest buys from within two weeks.

        Returns
        -------
        list of list of dict
            For each customer, in the order asked, up to `count` rows of what is answered in batch,
            the likeliest first; none without a category of enough history.
        """
        if isinstance(who, PostedCustomers):
            said, _ = self._posted(who)
            mine = said.partition_by("customer_id", as_dict=True)
            parts = [mine.get((key_of(number),)) for number in range(len(who.names))]
        else:
            spans = [self._spans.get(one, (0, 0)) for one in who]
            parts = [self.answers.slice(*span) for span in spans]
        return [
            []
            if part is None
            else part.sort(SOON, "category", descending=[True, False]).head(count).to_dicts()
            for part in parts
        ]

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
