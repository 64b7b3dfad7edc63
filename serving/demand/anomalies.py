"""Answers about what was not as expected, from the anomalies that the demand model published."""

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
class Anomalies:
    """One published version's anomalies, in memory: the largest first.

    Attributes
    ----------
    grain
        What a series is.
    frame
        As `training.models.demand.anomalies` finds them.
    """

    grain: Grain
    frame: pl.DataFrame

    @classmethod
    def load(cls, folder: Path, grain: Grain) -> Self | None:
        """Read what `publish` wrote; None where the records were too short to look back on."""
        frame = load_anomalies(folder)
        return None if frame is None else cls(grain, frame)

    def answer(
        self,
        series: Sequence[Mapping[str, str]] = (),
        from_date: str | None = None,
        reasons: Sequence[str] = (),
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Return the anomalies asked for, the largest first.

        Parameters
        ----------
        series
            Each by one or more keys of the grain; by default all. A closure belongs to all
            series of its location.
        from_date
            The first day wanted.
        reasons
            The reasons wanted, by default all.
        limit
            How many at most.

        Raises
        ------
        InvalidInput
            If a key is not the grain's, the date is none, or a reason is unknown.
        """
        found = self.frame
        if series:
            places = [self._of(one, f"series[{i}]") for i, one in enumerate(series)]
            found = found.filter(pl.any_horizontal(places))
        if from_date is not None:
            day = parse_as_of(from_date, field="from_date").date()
            found = found.filter(pl.col("date") >= day)
        for i, reason in enumerate(reasons):
            if reason not in REASONS:
                raise InvalidInput(
                    f"reasons[{i}] = {reason!r} is no reason; there is {', '.join(REASONS)}.",
                    field=f"reasons[{i}]",
                )
        if reasons:
            found = found.filter(pl.col("reason").is_in(list(reasons)))
        rows = found.head(limit).with_columns(
            pl.col("date").cast(pl.String), pl.lit("own_history").alias("basis")
        )
        return rows.to_dicts()

    def _of(self, one: Mapping[str, str], where: str) -> pl.Expr:
        for key in one:
            if key not in self.grain.keys:
                raise InvalidInput(
                    f"{where}.{key} is not a key of the published forecasts: series here are "
                    f"named by {' and '.join(self.grain.keys)} (grain {self.grain}).",
                    field=f"{where}.{key}",
                )
        matches = [(pl.col(key) == value) | pl.col(key).is_null() for key, value in one.items()]
        return pl.all_horizontal(pl.lit(value=True), *matches)
