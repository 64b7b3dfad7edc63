"""Next-category answers from a published model: when customers buy from a category again."""

import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from features.typing import Floats
from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import CustomerReader, Customers, Row
from serving.customers.survival import SurvivalOptions, with_options
from training.customers.purchase_curves import PurchaseCurves
from training.customers.survival import QUANTILES, WITHIN_DAYS
from training.models.next_category import publish
from training.models.next_category.model import NextCategoryModel, unknown_category

# Categories are ranked by the probability of a purchase within two weeks: day-exact rankings are
# not predictable.
RANKED_BY = "p_within_14"


@dataclass(frozen=True, kw_only=True)
class CategoryOptions(SurvivalOptions):
    """What a request chooses: the category, days and quantiles."""

    category: str


@dataclass(frozen=True)
class NextCategoryReader(CustomerReader[NextCategoryModel, CategoryOptions]):
    """One published version of the next-category model; curves are memory-mapped.

    Attributes
    ----------
    answers
        The published answers, one row a customer and category, ordered by both.
    positions
        The row of each customer and category in `answers`.
    curves
        P(purchase within d days), d = 1 to the horizon, in the order of `answers`.
    history
        Frequency, recency and age, in the order of `answers`.
    category_statistics
        What is usual in each category.
    """

    answers: pl.DataFrame
    positions: dict[tuple[str, str], int]
    curves: Floats
    history: Floats
    category_statistics: pl.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a published folder of the next-category task."""
        published = publish.load(folder)
        answers = published.answers()
        # Each customer and category stands in many rows, and is one object in all of them.
        columns = (map(sys.intern, answers[name]) for name in ("customer_id", "category"))
        pairs = zip(*columns, strict=True)
        return cls(
            published,
            answers,
            {pair: row for row, pair in enumerate(pairs)},
            publish.load_curves(published),
            publish.load_history(published),
            publish.load_category_statistics(published),
        )

    def answer(
        self,
        customers: Customers,
        category: str,
        within_days: Sequence[int] = WITHIN_DAYS,
        quantiles: Sequence[float] = QUANTILES,
    ) -> list[Row]:
        """Answer for each customer and one category, in request order.

        Parameters
        ----------
        customers, within_days, quantiles
            See `NextPurchaseReader.answer`.
        category
            A category that the model predicts.

        Returns
        -------
        list of dict
            The columns of `NextPurchaseReader.answer`, and category. `basis` is `history` from
            three purchases from the category on, else `population`: the category's distribution.

        Raises
        ------
        InvalidInput
            If the model does not predict the category, a number of days is not a whole one from 1
            to 3650, or a posted order lacks a column that the model needs.
        """
        if category not in self.model.categories_:
            raise unknown_category(category, self.model.categories_)
        options = CategoryOptions(within_days, quantiles, category=category)
        options.check()
        return self.rows(customers, options)

    @property
    def categories(self) -> Sequence[str]:
        """The categories that the model predicts."""
        return self.model.categories_

    @property
    def known_ids(self) -> Container[str]:
        """The ids of customers with enough history of a category."""
        return self._spans

    def known_rows(
        self, customer_ids: Sequence[str], options: CategoryOptions
    ) -> Mapping[str, Row]:
        """Look up the published answers, and read the chosen columns off the curves."""
        pairs = ((name, options.category) for name in customer_ids)
        positions = sorted({self.positions[pair] for pair in pairs if pair in self.positions})
        rows = self._rows(self.answers[positions], self._curves(positions), options)
        return {row["customer_id"]: row for row in rows}

    def posted_rows(self, customers: PostedCustomers, options: CategoryOptions) -> list[Row]:
        """Score posted customers; those with enough history of the category have a row."""
        answers, curves = self._score(customers)
        rows = self._rows(answers, curves, options)
        return [row for row in rows if row["category"] == options.category]

    def new_row(self, as_of: datetime, options: CategoryOptions) -> Row:  # noqa: ARG002
        """Return the category's distribution, for a customer without enough history of it."""
        curves = self.model.category_curves([options.category])
        row = self.model.predict_category(options.category)
        return with_options(row, options.read(curves)[0])

    def likely_categories(self, customers: Customers, count: int) -> list[list[Row]]:
        """Return the categories that each customer most likely buys from within two weeks.

        Returns
        -------
        list of list of dict
            For each customer, in request order, up to `count` rows as of `answer`, the most likely
            first; empty for customers without enough history of any category.
        """
        if isinstance(customers, PostedCustomers):
            answers, curves = self._score(customers)
            ids = answers.get_column("customer_id").to_list()
            positions = [[i for i, name in enumerate(ids) if name == key] for key in customers.keys]
        else:
            answers, curves = self.answers, None
            spans = (self._spans.get(name, (0, 0)) for name in customers)
            positions = [list(range(first, first + size)) for first, size in spans]
        likely = [self._most_likely(answers, rows)[:count] for rows in positions]
        flat = [row for rows in likely for row in rows]
        chosen = self._curves(flat) if curves is None else curves.select(np.array(flat, np.int64))
        rows = iter(self._rows(answers[flat], chosen, SurvivalOptions()))
        return [list(islice(rows, len(part))) for part in likely]

    @staticmethod
    def _most_likely(answers: pl.DataFrame, rows: Sequence[int]) -> list[int]:
        """Return rows of answers in descending order of the probability within two weeks."""
        part = answers.select(RANKED_BY, "category")[rows].rows()
        order = sorted(range(len(rows)), key=lambda i: (-part[i][0], part[i][1]))
        return [rows[i] for i in order]

    def _curves(self, positions: Sequence[int]) -> PurchaseCurves:
        """Return the curves of published answers by their positions."""
        frequency, recency, age = np.asarray(self.history[positions]).T
        return PurchaseCurves.daily(
            np.asarray(self.curves[positions], np.float64),
            self.model.process_,
            (frequency, recency, age),
        )

    @staticmethod
    def _rows(answers: pl.DataFrame, curves: PurchaseCurves, options: SurvivalOptions) -> list[Row]:
        return [
            with_options(row, read) | {"basis": "history"}
            for row, read in zip(answers.iter_rows(named=True), options.read(curves), strict=True)
        ]

    @cached_property
    def most_likely(self) -> pl.DataFrame:
        """Each known customer's most likely category of the next two weeks, and its probability."""
        ranked = self.answers.sort(RANKED_BY, "category", descending=[True, False])
        return ranked.unique("customer_id", keep="first", maintain_order=True).select(
            "customer_id",
            pl.col("category").alias("next_category"),
            pl.col(RANKED_BY).alias(f"next_category_{RANKED_BY}"),
        )

    def _score(self, customers: PostedCustomers) -> tuple[pl.DataFrame, PurchaseCurves]:
        """Score posted customers for the categories of which they have enough history."""
        features = self.model.features(
            customers.dataset(self.population), customers.as_of, self.category_statistics
        )
        curves = self.model.curves(features)
        return self.model.answers(features, curves), curves

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        """Return the first row and the number of rows of each customer: they are contiguous."""
        runs = self.answers.get_column("customer_id").rle().struct.unnest()
        starts = runs.get_column("len").cum_sum() - runs.get_column("len")
        lengths = zip(starts, runs.get_column("len"), strict=True)
        return dict(zip(runs.get_column("value"), lengths, strict=True))
