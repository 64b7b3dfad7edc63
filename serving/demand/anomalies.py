"""Published anomalies: recent periods whose sales were outside their expected range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from features.calendar import parse_as_of
from features.demand.grain import Grain
from features.errors import InvalidInput
from training.models.demand.anomalies import REASONS
from training.models.demand.publish import load_anomalies


@dataclass(frozen=True)
class AnomalyReader:
    """One published version's anomalies, in memory, the largest first.

    Attributes
    ----------
    grain
        What a series is.
    frame
        As `training.models.demand.anomalies.detect_anomalies` returns them.
    """

    grain: Grain
    frame: pl.DataFrame

    @classmethod
    def load(cls, folder: Path, grain: Grain) -> Self | None:
        """Read a published demand folder; None where it has no anomalies."""
        frame = load_anomalies(folder)
        return None if frame is None else cls(grain, frame)

    def answer(
        self,
        series: Sequence[Mapping[str, str]] = (),
        from_date: str | None = None,
        reasons: Sequence[str] = (),
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Return the anomalies that pass the filters, the largest first.

        Parameters
        ----------
        series
            Each by one or more keys of the grain; by default all. A closure belongs to all
            series of its location.
        from_date
            The first day.
        reasons
            The reasons, by default all.
        limit
            The most rows.

        Raises
        ------
        InvalidInput
            If a key is not one of the grain, the date is invalid, or a reason is unknown.
        """
        rows = self.frame
        if series:
            matches = [self._match(keys, f"series[{i}]") for i, keys in enumerate(series)]
            rows = rows.filter(pl.any_horizontal(matches))
        if from_date is not None:
            day = parse_as_of(from_date, field="from_date").date()
            rows = rows.filter(pl.col("date") >= day)
        for i, reason in enumerate(reasons):
            if reason not in REASONS:
                raise InvalidInput(
                    f"reasons[{i}] = {reason!r} is no reason; use {', '.join(REASONS)}.",
                    field=f"reasons[{i}]",
                )
        if reasons:
            rows = rows.filter(pl.col("reason").is_in(list(reasons)))
        answers = rows.head(limit).with_columns(
            pl.col("date").cast(pl.String), pl.lit("own_history").alias("basis")
        )
        return answers.to_dicts()

    def _match(self, keys: Mapping[str, str], where: str) -> pl.Expr:
        """Select the rows of the series named by the field `where` of a request."""
        for key in keys:
            if key not in self.grain.keys:
                raise InvalidInput(
                    f"{where}.{key} is not a key of the published forecasts: series are named "
                    f"by {' and '.join(self.grain.keys)} (grain {self.grain}).",
                    field=f"{where}.{key}",
                )
        matches = [(pl.col(key) == value) | pl.col(key).is_null() for key, value in keys.items()]
        return pl.all_horizontal(pl.lit(value=True), *matches)
