"""Explanations of predictions about customers: sentences with their contributions.

In: contributions of features to a raw score, and the features. Out: per customer, what
distinguishes the prediction from the usual one, as sentences that state their direction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import polars as pl

from features.customers.attributes import PREFIX as ATTRIBUTE
from features.typing import Bools, Floats

# A sentence, which begins with its direction, and its contribution to the raw score.
Explanation = tuple[str, float]
EXPLANATIONS = 3
# Smaller contributions (in log-odds or logs: about 5 %) explain nothing.
MIN_CONTRIBUTION = 0.05
# Customers that are measured to learn what is usual.
SAMPLE = 10_000
# Relative difference from which a value differs from another.
CHANGED = 0.1


@dataclass(frozen=True)
class Facts:
    """What is known of one customer, beside what is usual.

    Attributes
    ----------
    row
        The customer's features.
    medians
        Medians of the features over all customers.
    favourable
        Whether to name what favours a purchase, or what speaks against one.
    """

    row: Mapping[str, Any]
    medians: Mapping[str, float]
    favourable: bool

    def compared(
        self,
        feature: str,
        sentence: Callable[[float], str],
        number: Callable[[float], str] = "{:.0f}".format,
        *,
        rises: bool | None = True,
    ) -> str | None:
        """Return a sentence about a value and the median.

        None if the value is missing, does not differ from the median by a tenth and in the numbers
        that are shown, or differs in the other direction.

        Parameters
        ----------
        feature, sentence, number
            The feature, and how it and numbers of its kind are put into words.
        rises
            Whether larger values favour a purchase. None: no direction is known.
        """
        value, median = self.row.get(feature), self.medians.get(feature)
        if value is None or median is None:
            return None
        if rises is not None and (value > median) != (rises == self.favourable):
            return None
        differs = abs(value - median) > CHANGED * abs(median) and number(value) != number(median)
        return f"{sentence(value)} (median {number(median)})" if differs else None


# Returns a sentence that agrees with `Facts.favourable`; None if there is none.
Text = Callable[[Facts], str | None]


@dataclass(frozen=True)
class Wording:
    """How the contributions of a model are put into words.

    Attributes
    ----------
    raises, lowers
        Beginning of the sentences with positive and with negative contributions.
    group_of
        Returns the group that a feature is explained by; None for columns that are not explained.
    text
        Returns the text of a group.
    favours_purchase
        Whether positive contributions favour a purchase.
    """

    raises: str
    lowers: str
    group_of: Callable[[str], str | None]
    text: Callable[[str], Text]
    favours_purchase: bool = True


@dataclass(frozen=True)
class Usual:
    """What is usual among all customers, with which each customer is compared.

    Attributes
    ----------
    medians
        Medians of the features.
    contributions
        Mean contributions of the features, `base` among them.
    """

    medians: Mapping[str, float] = field(default_factory=dict)
    contributions: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def measure(
        cls, features: pl.DataFrame, contributions: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> Self:
        """Measure it in the features of all customers, or of a sample, and their contributions."""
        sample = features.sample(min(features.height, SAMPLE), seed=0)
        medians = sample.select(pl.selectors.numeric()).median().row(0, named=True)
        return cls(
            {name: value for name, value in medians.items() if value is not None},
            contributions(sample).mean().row(0, named=True),
        )

    def explanations(
        self,
        contributions: pl.DataFrame,
        features: pl.DataFrame,
        wording: Wording,
        *,
        attributes: bool = False,
    ) -> list[list[Explanation]]:
        """Return up to EXPLANATIONS sentences a customer, the largest contributions first.

        A prediction is explained by its difference from the mean raw score. Contributions are those
        of groups of features, less their means; only those that add to the difference are named,
        and only by a sentence that says so.

        Parameters
        ----------
        contributions
            Of each feature to the raw score, one row a customer; their sum is the raw score.
        features
            The features, in the same order.
        wording
            How they are put into words.
        attributes
            Whether attributes of customers, such as age, may be named.
        """
        groups, values, differences = self._group_differences(contributions, wording)
        above: Bools = differences > 0
        support = np.where(above[:, None], values, -values)
        texts = [wording.text(name) for name in groups]
        allowed = [attributes or not name.startswith(ATTRIBUTE) for name in groups]
        explained = []
        for i, row in enumerate(features.iter_rows(named=True)):
            facts = Facts(row, self.medians, bool(above[i]) == wording.favours_purchase)
            start = wording.raises if above[i] else wording.lowers
            found: list[Explanation] = []
            for j in np.argsort(-support[i], kind="stable"):
                if len(found) == EXPLANATIONS or support[i, j] < MIN_CONTRIBUTION:
                    break
                text = texts[j](facts) if allowed[j] else None
                if text is not None:
                    found.append((f"{start}: {text}", float(values[i, j])))
            explained.append(found)
        return explained

    def _group_differences(
        self, contributions: pl.DataFrame, wording: Wording
    ) -> tuple[list[str], Floats, Floats]:
        """Return groups, their contributions less their means, and the sum over all columns."""
        means = np.array([self.contributions.get(name, 0.0) for name in contributions.columns])
        centred = contributions.to_numpy() - means
        columns: dict[str, list[int]] = {}
        for number, feature in enumerate(contributions.columns):
            group = wording.group_of(feature)
            if group is not None:
                columns.setdefault(group, []).append(number)
        values = [centred[:, members].sum(axis=1) for members in columns.values()]
        grouped = np.stack(values, axis=1) if values else np.zeros((len(centred), 0))
        return list(columns), grouped, centred.sum(axis=1)


def explanation_columns(explanations: list[list[Explanation]]) -> list[pl.Series]:
    """Return explanations as the columns `explanations` and `contributions`.

    Contributions are rounded: their last bits depend on the number of rows in a batch.
    """
    sentences = [[sentence for sentence, _ in row] for row in explanations]
    contributions = [[round(value, 4) for _, value in row] for row in explanations]
    return [
        pl.Series("explanations", sentences, dtype=pl.List(pl.String)),
        pl.Series("contributions", contributions, dtype=pl.List(pl.Float64)),
    ]


def explanation_rows(keys: pl.DataFrame, explanations: list[list[Explanation]]) -> pl.DataFrame:
    """Return explanations as a frame, one row a sentence: the keys, `reason`, `contribution`."""
    return (
        keys.with_columns(explanation_columns(explanations))
        .rename({"explanations": "reason", "contributions": "contribution"})
        .explode("reason", "contribution")
        .drop_nulls("reason")
    )
