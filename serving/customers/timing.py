"""Timing of the next purchase in one published version: one curve a customer for every answer.

Churn, next purchase and value each publish curves. Trained at different times or with other options
they differ, so all answers of a version are read off those of one model, its source.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic

import numpy as np
import polars as pl

from features.columns import CUSTOMER_ID
from serving.customers.posted_history import PostedCustomers
from serving.customers.reader import CustomerReader, Customers, Options
from training.customers.published import AnyTimed, KnownCustomers
from training.customers.purchase_curves import PurchaseCurves
from training.customers.purchase_timing import TimingInputs

# Tasks that publish curves; the first in a version is the source. Those of churn pass through its
# calibrated probability, which stages are read off as well.
SOURCES = ("churn", "next-purchase", "value")


@dataclass(frozen=True)
class TimedReader(CustomerReader[AnyTimed, Options], Generic[AnyTimed, Options]):
    """Reader of a model that holds the timing of the next purchase.

    Attributes
    ----------
    customers
        Published answers for known customers.
    known_curves
        Their curves, memory-mapped, in the order of the answers.
    """

    customers: KnownCustomers
    known_curves: PurchaseCurves

    @property
    def known_ids(self) -> Container[str]:
        """The ids of known customers."""
        return self.customers.positions

    def curves(self, customers: Customers) -> PurchaseCurves:
        """Return the curve of each customer, in request order; unknown ones are newcomers."""
        timing = self.model.timing_
        if isinstance(customers, PostedCustomers):
            features = self.posted_features(customers)
            known, names = self.posted_curves(customers), tuple(customers.keys)
            ids = features.get_column(CUSTOMER_ID)
            positions: Mapping[str, int] = {key: row for row, key in enumerate(ids)}
        else:
            known, names = self.known_curves, tuple(customers)
            positions = self.customers.positions
        rows = np.array([positions.get(name, -1) for name in names], dtype=np.int64)
        return timing.newcomers(len(rows)).replaced(rows >= 0, known.select(rows[rows >= 0]))

    def posted_features(self, customers: PostedCustomers) -> pl.DataFrame:
        """Return the features that the model reads of posted customers."""
        dataset = customers.dataset(self.population)
        return self.model.features(dataset, customers.as_of)

    def posted_curves(self, customers: PostedCustomers) -> PurchaseCurves:
        """Return the curves of the rows of `posted_features`; computed once for each request."""
        timing = self.model.timing_
        return customers.once(
            ("curves", id(timing)), lambda: timing.curves(self._posted_inputs(customers))
        )

    def posted_contributions(self, customers: PostedCustomers) -> pl.DataFrame:
        """Return the contributions to the curves at the horizon; computed once for each request."""
        timing = self.model.timing_
        return customers.once(
            ("contributions", id(timing)),
            lambda: timing.contributions(self._posted_inputs(customers)),
        )

    def _posted_inputs(self, customers: PostedCustomers) -> TimingInputs:
        timing = self.model.timing_
        return customers.once(
            ("inputs", id(timing)), lambda: timing.inputs(self.posted_features(customers))
        )

    def instant(self, customers: Customers) -> datetime:
        """Return the instant that the days of `curves` count from."""
        return customers.as_of if isinstance(customers, PostedCustomers) else self.as_of

    @cached_property
    def published_columns(self) -> pl.DataFrame:
        """What is read off each known customer's curve by default, with the expected date."""
        answers = self.known_curves.answers(self.customers.answers.select(CUSTOMER_ID))
        return answers.with_columns(self.known_curves.next_order(self.as_of))


def source_of(models: Mapping[str, Any], task: str) -> str:
    """Return the task whose curves answer for one of SOURCES; other tasks have their own.

    Parameters
    ----------
    models
        Readers of one published version by task.
    task
        The task that is asked.
    """
    return next(name for name in SOURCES if name in models) if task in SOURCES else task


def timing_of(models: Mapping[str, Any]) -> TimedReader[Any, Any]:
    """Return the reader whose curves answer, in a version with at least one of SOURCES."""
    reader: TimedReader[Any, Any] = models[source_of(models, SOURCES[0])]
    return reader


def known_ids(models: Mapping[str, Any], task: str) -> Container[str]:
    """Return the ids that a task's reader knows; next category knows those of the curves too."""
    # A customer may be known without enough history of any category.
    own = task in SOURCES or not any(name in models for name in SOURCES)
    known: Container[str] = (models[task] if own else timing_of(models)).known_ids
    return known
