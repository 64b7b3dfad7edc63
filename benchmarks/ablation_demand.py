"""Components of the demand model, and the datasets on which each of them is removed.

See `ablation`. A case is a series. Its value is the sum of its absolute errors (or of its pinball
losses) over the mean units of a series, so that the mean over cases is WAPE (or WQL, its
counterpart for quantiles).

FORESELL_HOME names the folder with the bundled dataset, FORESELL_SHARED_DATA that of the others.
By default there is one origin a dataset, and a sample of rows and series that is the same for all
variants. With FORESELL_WHOLE=1, as for a comparison of versions, there are three origins of the
bundled data and of Ta-Feng, all series, and the rows of the model's default.

Features are computed once a dataset: the cost of a variant is that of its trees. Only variants
that do not compute some features at all (`own_features`) start from the records.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import demand_cases as cases
import numpy as np
import polars as pl
from ablation import Component, Subject
from demand_cases import Case
from demand_rossmann import rossmann_case

from features.calendar import to_day
from features.dataset import Dataset
from features.demand import builder, panel
from features.demand.grain import Grain
from features.demand.panel import Panel
from features.demand.series import units_matrix
from features.memo import memo
from features.typing import Floats, Ints
from training.models.demand import boosting, distribution, model, recalibration, training_rows
from training.models.demand.ensemble import EnsembleWeights
from training.models.demand.inputs import input_columns
from training.models.demand.model import DemandModel
from training.models.demand.quantiles import LEVELS
from training.models.demand.task import DEMAND

HOME = Path(os.environ.get("FORESELL_HOME", ".foresell"))
WHOLE = os.environ.get("FORESELL_WHOLE") == "1"
ORIGINS = 3 if WHOLE else 1
ROWS = None if WHOLE else 50_000
SHOPS = 1_115 if WHOLE else 300
Removal = Callable[[], AbstractContextManager[Any]]


def subjects(_: str) -> list[Subject]:
    """Return the bundled data at its default grain, and the other data where they are at hand."""
    bundled = _bundled()
    found = [_subject("bundled", bundled, origin) for origin in bundled.origins[-ORIGINS:]]
    if not cases.has_shared_data():
        return found
    ta_feng = cases.ta_feng_case("product:week", 14)
    found += [_subject("Ta-Feng", ta_feng, origin) for origin in ta_feng.origins[-ORIGINS:]]
    others = [
        ("M5 days", cases.walmart_days()),
        ("Rossmann days", rossmann_case("day", 28, SHOPS)),
    ]
    if WHOLE:
        others.append(("M5 weeks", cases.walmart_weeks()))
        others.append(("Rossmann weeks", rossmann_case("week", 91)))
    for name, case in others:
        found.append(_subject(name, case, case.origins[-1]))
    return found


def _bundled() -> Case:
    """Return the bundled data as `evaluate demand` takes them."""
    dataset = cases.journey(HOME)
    options = DEMAND.options(dataset)
    days = options["horizon_days"]
    return Case(
        "bundled",
        dataset,
        Grain.parse(options["grain"]),
        days,
        [dataset.end - timedelta(days=days * k) for k in (3, 2, 1)],
        lambda origin: DEMAND.population(dataset, origin, options),
    )


def _subject(name: str, case: Case, origin: datetime) -> Subject:
    series = case.series(origin)
    options: dict[str, Any] = {
        "grain": str(case.grain),
        "horizon_days": case.horizon_days,
        "country": case.country,
    }
    return Subject(
        model="demand",
        dataset=name,
        as_of=origin,
        open=lambda: replace(case.dataset, results={}),
        build=lambda: _WithCachedFeatures(**options, rows=ROWS),
        predict=lambda fitted, dataset: fitted.predict(dataset, origin, series),
        values=lambda _, predictions: values(case, origin, series, predictions),
    )


class _WithCachedFeatures(DemandModel):
    """A demand model that computes the features of a dataset once."""

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit on cached training rows."""
        with replaced(model, "training_rows", _training_rows):
            return super().fit(dataset, as_of)

    def frames(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame
    ) -> Iterator[pl.DataFrame]:
        """Return cached features; those of the last dataset are kept."""
        if not (_kept and _kept[0][0] is dataset):
            _kept[:] = [(dataset, list(super().frames(dataset, as_of, ids)))]
        return iter(_kept[0][1])


_kept: list[tuple[Dataset, list[pl.DataFrame]]] = []


@memo()
def _training_rows(dataset: Dataset, *arguments: Any) -> pl.DataFrame:
    return training_rows.training_rows(dataset, *arguments)


def values(
    case: Case, origin: datetime, series: pl.DataFrame, predictions: pl.DataFrame
) -> dict[str, Floats]:
    """Return WAPE, WQL, and the shares of outcomes below q10 and above q90, by series."""
    ordered = series.join(predictions, on=case.grain.keys, how="left", maintain_order="left")
    ordered = ordered.fill_null(0.0)
    steps = case.grain.periods(case.horizon_days)
    truth = units_matrix(case.dataset, case.grain, to_day(origin), steps, series)
    mean, low, middle, high = (
        ordered.get_column(name).to_numpy().reshape(truth.shape)
        for name in ("mean", "q10", "q50", "q90")
    )
    usual = truth.sum(axis=1).mean()
    losses = [
        _pinball(truth, quantile, level)
        for quantile, level in ((low, 0.1), (middle, 0.5), (high, 0.9))
    ]
    return {
        "WAPE": np.abs(truth - mean).sum(axis=1) / usual,
        "WQL": 2 * np.mean(losses, axis=0).sum(axis=1) / usual,
        "below q10": (truth < low).mean(axis=1),
        "above q90": (truth > high).mean(axis=1),
    }


def _pinball(truth: Floats, quantile: Floats, level: float) -> Floats:
    error = truth - quantile
    loss: Floats = np.maximum(level * error, (level - 1) * error)
    return loss


def components(_: str) -> list[Component]:
    """Return the parts of the demand model."""
    return [*_features(), *_plan_features(), *_learning(), *_distribution(), *_guarantees()]


def _features() -> list[Component]:
    return [
        Component("window means", without("trend_mean_.*")),
        Component("exponential means", without("trend_(fast|middle|slow)")),
        Component("log level", without("level_log")),
        Component("trends of groups", without("trend_(all|department|category)")),
        Component("holidays", without("holiday_(ahead|behind)")),
        Component("closed days before and after", without("holiday_closed_.*")),
        Component("week of year or month", without("season_(month_week|week|month_day)")),
        Component("weekday", without("season_weekday")),
        Component("horizon step", without("season_step")),
        Component("year before, series", without("season_(year|same|before)_own")),
        Component(
            "year before, groups", without("season_(year|same|before)_(all|department|category)")
        ),
        Component("year before", without("season_(year|same|before)_.*")),
        Component("growth over a year", without("trend_year_.*")),
        Component(
            "year before of a product in every second member only",
            lambda: replaced(boosting, "excluded_columns", lambda *_: ()),
        ),
        Component("weekday means", without("season_day_.*")),
        Component("weekday index", without("season_weekday_.*")),
        Component("groups and locations as categories", without("group_.*")),
    ]


def _plan_features() -> list[Component]:
    plan = ("features/demand/plan_features.py",)
    return [
        Component(
            "promotions",
            lambda: replaced(builder, "promotion_columns", lambda *_: {}),
            ("features/demand/promotions.py", *plan),
            own_features=True,
        ),
        Component("promotions by kind", without("promotion_[a-z]+_(?!any|the_price_off|with).*")),
        Component("promotion: past effect", without("promotion_effect_.*")),
        Component("promotion: planned less usual", without("promotion_change_.*")),
        Component("promotion: change times effect", without("promotion_gain_.*")),
        Component(
            "prices",
            lambda: replaced(builder, "price_columns", lambda *_: {}),
            ("features/demand/prices.py", *plan),
            own_features=True,
        ),
        Component(
            "rows with a hidden plan",
            lambda: replaced(training_rows, "HIDDEN_SHARE", 0.0),
            ("features/demand/plan_ends.py",),
            own_features=True,
            guarantees="promotions are as usual where the plan is unknown",
        ),
        Component("price: past effect", without("price_effect")),
        Component("price: change times effect", without("price_gain")),
        Component("price: log of the usual", without("price_log")),
        Component(
            "covariates",
            lambda: replaced(builder, "covariate_columns", lambda *_: {}),
            ("features/demand/covariates.py", *plan),
            own_features=True,
        ),
        Component("covariate: change times effect", without("covariate_gain_.*")),
    ]


def _learning() -> list[Component]:
    return [
        Component(
            "weekday in the offset",
            lambda: replaced(
                model, "expected_units", lambda f: f.get_column("level_now").to_numpy()
            ),
        ),
        Component(
            "level in the offset",
            lambda: replaced(model, "expected_units", lambda f: np.ones(f.height)),
        ),
        Component(
            "credibility of common movements",
            lambda: replaced(model, "credibility_weight", lambda _: 1.0),
            ("training/models/demand/common_factor.py",),
        ),
        Component(
            "common factor", lambda: replaced(model, "common_factor", lambda r, *_: np.ones(len(r)))
        ),
        Component("level bias", lambda: replaced(model, "level_bias", lambda *_: 1.0)),
        Component(
            "classical members of the ensemble",
            lambda: replaced(EnsembleWeights, "fit", lambda *_: EnsembleWeights.global_alone()),
            ("training/models/demand/ensemble.py", "features/demand/statistical_forecasts.py"),
        ),
        Component(
            "sampling of series by sales",
            lambda: replaced(training_rows, "_weighted_sample", _draw),
        ),
        Component(
            "monotone constraints",
            lambda: replaced(boosting, "monotone_constraints", lambda *_: {}),
            ("training/models/demand/monotone_constraints.py",),
            guarantees="a deeper discount or a lower price never lowers a forecast",
        ),
    ]


def _distribution() -> list[Component]:
    return [
        Component("variance by features", lambda: replaced(distribution, "_ROUNDS", 1)),
        Component("recalibrated levels", lambda: replaced(recalibration, "_recalibrate", _as_is)),
        Component("shifts", lambda: replaced(recalibration, "_find_shift", lambda *_: 0.0)),
        Component("horizon segments", lambda: replaced(distribution, "_SEGMENTS", 1)),
        Component("volume classes", lambda: replaced(recalibration, "_CLASSES", 1)),
    ]


def _guarantees() -> list[Component]:
    return [
        Component(
            "stock-outs",
            lambda: replaced(panel, "out_of_stock", lambda *_: None),
            ("features/demand/stockouts.py", "features/stock.py"),
            guarantees="a day without stock is missing, not a day without demand",
        ),
        Component(
            "cold start",
            lambda: replaced(DemandModel, "predict_cold_start", _nothing),
            ("features/demand/cold_start.py", "serving/demand/cold_start.py"),
            guarantees="a product or location without sales has a forecast",
        ),
    ]


@contextmanager
def replaced(owner: ModuleType | type, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute for the time of the context."""
    former = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, former)


def without(pattern: str) -> Removal:
    """Return a removal of the features whose whole name matches a pattern."""
    drops = re.compile(pattern)

    def kept(frame: pl.DataFrame) -> list[str]:
        return [name for name in input_columns(frame) if not drops.fullmatch(name)]

    return lambda: replaced(boosting, "input_columns", kept)


def _draw(_: Panel, __: int, rows: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Draw series with equal probability."""
    return np.sort(rng.choice(rows, count, replace=False))


def _as_is(*arguments: Any) -> tuple[tuple[float, ...], ...]:
    """Leave the levels of every volume class as they are."""
    classes = arguments[3]
    return (LEVELS,) * len(classes)


def _nothing(fitted: DemandModel, *_: Any) -> pl.DataFrame:
    """Forecast no series without sales."""
    names = [*Grain.parse(fitted.grain).keys, "date", "mean", "q10", "q50", "q90"]
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
