"""Subjects and components of the customer models for `ablation.py`.

Churn, next purchase, next category and value on the bundled data and on a sample of Ta-Feng's
customers, each at one origin, with the horizon that the records' cadence gives.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from ablation import Component, Subject
from customer_cases import ta_feng
from demand_cases import has_shared_data, journey

from features.customers import builder
from features.dataset import Dataset
from features.typing import Floats
from foresell.settings import Settings
from training.contract import model_with_options
from training.customers import purchase_timing, timing_training
from training.customers.timing_training import TimingOptions
from training.models.churn import model as churn
from training.models.next_category import model as next_category
from training.models.next_category.explanations import group_of
from training.models.next_purchase import model as next_purchase
from training.models.value import ensemble
from training.models.value import model as value
from training.models.value.prediction_interval import SpendInterval
from training.models.value.season import Seasons
from training.registry import TASKS

# Origins of the bundled data, by days of the horizon.
JOURNEY_ORIGINS = {28: datetime(2017, 12, 4), 56: datetime(2017, 11, 6)}


def subjects(model: str) -> list[Subject]:
    """Return the model on each dataset."""
    settings = Settings()
    opened: dict[str, Callable[[], Dataset]] = {"bundled": lambda: journey(settings.home)}
    if has_shared_data():
        opened["ta-feng"] = ta_feng
    return [_subject(model, name, function) for name, function in opened.items()]


def _subject(model: str, name: str, function: Callable[[], Dataset]) -> Subject:
    task, dataset = TASKS[model], function()
    options = task.options(dataset)
    horizon = options["horizon_days"]
    as_of = dataset.end - timedelta(days=horizon)
    if name == "bundled":
        as_of = JOURNEY_ORIGINS[horizon]
    metrics = task.per_case_metrics
    if metrics is None:
        raise ValueError(f"Task {model} has no metrics per case.")

    def build() -> Any:
        return model_with_options(task.model, options)

    def values(dataset: Dataset, predictions: pl.DataFrame) -> Mapping[str, Floats]:
        return metrics(dataset, as_of, options, predictions)

    def predict(fitted: Any, dataset: Dataset) -> pl.DataFrame:
        predicted: pl.DataFrame = fitted.predict(
            dataset, as_of, task.population(dataset, as_of, options)
        )
        return predicted

    def publish(fitted: Any, dataset: Dataset, folder: Path) -> None:
        if type(fitted) is task.model:
            task.publish(fitted, dataset, as_of, folder)

    return Subject(model, name, as_of, function, build, values, predict, publish)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute or an item within the context."""
    is_item = isinstance(owner, dict)
    before = owner[name] if is_item else getattr(owner, name)
    put = owner.__setitem__ if is_item else partial(setattr, owner)
    put(name, value)
    try:
        yield
    finally:
        put(name, before)


@contextmanager
def several(*contexts: AbstractContextManager[Any]) -> Iterator[None]:
    """Enter several contexts."""
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def with_options(model: type[Any], **options: Any) -> AbstractContextManager[None]:
    """Replace defaults of a model's options."""
    original = model.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **{**options, **kwargs})

    return replaced(model, "__init__", init)


def without_columns(module: Any, *names: str) -> AbstractContextManager[None]:
    """Drop columns of person-periods of a hazard model."""
    expand = module.expand

    def expand_without(*args: Any) -> pl.DataFrame:
        periods: pl.DataFrame = expand(*args)
        return periods.drop(names, strict=False)

    return replaced(module, "expand", expand_without)


def without_attributes() -> AbstractContextManager[None]:
    """Read no attributes of customers."""
    return replaced(builder, "attribute_columns", lambda _: [])


ATTRIBUTES = Component(
    "attributes", without_attributes, ("features/customers/attributes.py",), own_features=True
)


# Each variant is measured with a fit of its own.
vars(timing_training)["_fit"] = vars(timing_training)["_fit"].function


FAMILY = "training/models"


def _next_purchase() -> list[Component]:
    days = timing_training.days_ahead

    def fewer_days(horizon: int, last: int) -> tuple[int, ...]:
        return tuple(day for day in days(horizon, last) if day in (7, 14, horizon, last))

    return [
        *_timing(next_purchase.NextPurchaseModel),
        Component(
            "all days ahead but 7, 14 and both horizons",
            lambda: replaced(timing_training, "days_ahead", fewer_days),
        ),
    ]


def _timing(model: type[Any]) -> list[Component]:
    """Components of the timing of the next purchase."""
    weights, path = "_weights", "training/customers"
    trees_alone = dict.fromkeys(timing_training.PRIOR_WEIGHTS, 0.0) | {purchase_timing.TREES: 1.0}
    inputs = purchase_timing.tree_inputs

    def without_signs(*args: Any) -> tuple[pl.DataFrame, list[int]]:
        columns, signs = inputs(*args)
        # Survival must still fall with the days ahead, the last column.
        return columns, [*[0] * (len(signs) - 1), signs[-1]]

    def limited(**options: Any) -> AbstractContextManager[None]:
        return with_options(TimingOptions, **options)

    return [
        Component("trees", lambda: limited(min_examples=10**9)),
        Component(
            "RFM logistic, BG/NBD and MBG/NBD as members",
            lambda: replaced(timing_training, weights, lambda *_: trees_alone),
            guarantees="not behind them in small shops and where they hold",
        ),
        Component(
            "weights by newest outcomes (prior ones)",
            lambda: replaced(timing_training, weights, lambda *_: timing_training.PRIOR_WEIGHTS),
        ),
        Component(
            "level of the season a year before",
            lambda: replaced(timing_training, "seasonal_level", lambda *_: 0.0),
            (f"{path}/seasonal_calibration.py",),
            guarantees="level in shops with a season and two years of records",
        ),
        Component(
            "monotone constraints",
            lambda: several(
                replaced(purchase_timing, "tree_inputs", without_signs),
                replaced(timing_training, "tree_inputs", without_signs),
            ),
            guarantees="churn rises with inactivity and falls with visits",
        ),
        Component("37,500 of 75,000 examples", lambda: limited(examples=37_500)),
        Component("6 of 12 cutoffs", lambda: with_options(model, cutoffs=6)),
        Component("100 of 200 rounds", lambda: with_options(model, rounds=100)),
        ATTRIBUTES,
    ]


def _next_category() -> list[Component]:
    model = next_category.NextCategoryModel
    periods = vars(next_category)["expand"]

    def without_group(group: str) -> AbstractContextManager[None]:
        def expand_without(*args: Any) -> pl.DataFrame:
            frame: pl.DataFrame = periods(*args)
            kept = ("elapsed", "width")
            return frame.drop(
                name for name in frame.columns if name not in kept and group_of(name) == group
            )

        return replaced(next_category, "expand", expand_without)

    groups = ("cadence", "purchases", "customer", "category")
    return [
        Component("100,000 of 400,000 periods", lambda: with_options(model, periods=100_000)),
        Component("3 of 6 cutoffs", lambda: with_options(model, cutoffs=3)),
        Component("37 of 75 rounds", lambda: with_options(model, rounds=37)),
        *(Component(f"features: {name}", partial(without_group, name)) for name in groups),
    ]


def _value() -> list[Component]:
    model = value.ValueModel
    boosters_alone = dict.fromkeys(ensemble.PRIOR_WEIGHTS, 0.0) | {ensemble.BOOSTERS: 1.0}

    def interval_of_half(*_: Floats) -> SpendInterval:
        return SpendInterval((1.0,), (0.5,), (1.5,))

    return [
        Component("boosters", lambda: replaced(ensemble, "fit_boosters", lambda *_, **__: {})),
        Component(
            "BG/NBD and the last period as members",
            lambda: replaced(ensemble, "fit_weights", lambda *_: boosters_alone),
            (f"{FAMILY}/value/ensemble.py",),
            guarantees="not behind them in small shops and where they hold",
        ),
        Component(
            "interval calibration",
            lambda: replaced(SpendInterval, "fit", staticmethod(interval_of_half)),
            (f"{FAMILY}/value/prediction_interval.py",),
            guarantees="the 80 % interval has its coverage",
        ),
        Component(
            "season",
            lambda: replaced(Seasons, "year_before", lambda *_: Seasons()),
            (f"{FAMILY}/value/season.py",),
            guarantees="value follows the season where there are two years",
        ),
        Component("5 of 10 cutoffs", lambda: with_options(model, cutoffs=5)),
        Component("125 of 250 rounds", lambda: with_options(model, rounds=125)),
        ATTRIBUTES,
    ]


def _churn() -> list[Component]:
    return _timing(churn.ChurnModel)


_COMPONENTS: dict[str, Callable[[], list[Component]]] = {
    "churn": _churn,
    "next-purchase": _next_purchase,
    "next-category": _next_category,
    "value": _value,
}


def components(model: str) -> list[Component]:
    """Return the components of a customer model."""
    return _COMPONENTS[model]()
