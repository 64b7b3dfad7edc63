"""Value: how many orders a customer places and what they spend, over any number of days ahead.

Learns from customers as they were at earlier cuts (`stacked_cuts`); answers for every customer
with a purchase. Retraining publishes it, `serving.customers.value` answers from what it published.
An order is a visit: a day with a purchase.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
import polars as pl

from features.calendar import day_start, to_day
from features.customers.integer_sums import MONEY_UNIT
from features.dataset import Dataset
from features.errors import MissingData
from features.typing import Floats
from training.contract import Needs, model_with_options, options_of
from training.customers import published as known_customers
from training.customers.cutoffs import (
    customer_features,
    cutoff_days,
    features_at_cutoff,
    half_horizon,
    has_enough_history,
    history_days,
    orders_and_spend,
    typical_spend,
)
from training.customers.explanations import explanation_columns, explanation_rows, top_explanations
from training.customers.survival import MOST_DAYS
from training.estimators.bg_nbd import BgNbd, purchase_history
from training.estimators.boosting import Booster, BoostingOptions
from training.estimators.gamma_gamma import GammaGamma
from training.models.value.prediction_interval import MoneyRange

HORIZONS_DAYS = (30, 90, 365)
QUANTILES = (0.1, 0.9)
# What a customer is worth in total is what they spent and what they will in a year.
TOTAL_DAYS = 365
REASONS = 3
NEWCOMER_REASON = "no purchase known: what is expected of a new customer"
# The column that holds the unit of money: what a visit typically brings at the instant.
MONEY = "typical_spend"
# Names a customer's habits rather than how much they buy, or is in money.
UNUSED = ("weekday", "gap_max_", "before_routine", MONEY)
# With fewer examples (a customer at a cut) the two processes answer alone.
FEWEST_EXAMPLES = 1000
# Nobody is expected to order or spend nothing at all.
LEAST = 1e-4

TREES = BoostingOptions(
    learning_rate=0.03,
    num_leaves=12,
    min_data_in_leaf=60,
    feature_fraction=0.4,
    lambda_l2=5.0,
)


@dataclass
class ValueModel:
    """Orders by BG/NBD times spend by Gamma-Gamma, both corrected by boosting at one horizon.

    The boosters learn the orders and the spend of the `horizon_days` after each cut (Poisson and
    Tweedie), reading what the processes say among the features; where records are shorter than two
    horizons, of half the days that there are. Over other days ahead, the processes say how orders
    and spend grow, and the boosters' correction stays.

    Attributes
    ----------
    horizon_days
        The days ahead that are learnt from, where records are long enough; they are answered
        besides 30, 90 and 365.
    seed, threads
        Same seed, same model; processor threads to fit and predict with.
    cuts, cut_step_days
        How many past instants are learnt from, and the days between them.
    rounds
        Number of trees.
    trees
        How they are grown.
    tweedie_power
        Power of the variance of spend, as LightGBM defines it.
    """

    name: ClassVar[str] = "value"
    needs: ClassVar[Needs] = Needs(
        required={"orders": ("customer_id", "day", "revenue")},
        optional={
            "products": "how many categories a customer buys from",
            "touchpoints": "offers sent to and redeemed by a customer",
        },
    )

    horizon_days: int = 28
    seed: int = 0
    threads: int = 1
    cuts: int = 10
    cut_step_days: int = 14
    rounds: int = 250
    trees: BoostingOptions = TREES
    tweedie_power: float = 1.4
    orders_booster_: Booster | None = field(init=False, repr=False)
    spend_booster_: Booster | None = field(init=False, repr=False)
    process_: BgNbd = field(init=False, repr=False)
    spend_: GammaGamma = field(init=False, repr=False)
    range_: MoneyRange = field(init=False, repr=False)
    level_: tuple[float, float] = field(init=False, repr=False)
    typical_spend_: float = field(init=False, repr=False)
    learnt_days_: int = field(init=False, repr=False)

    @property
    def horizons(self) -> list[int]:
        """Days ahead that are answered unless others are asked for."""
        return sorted({self.horizon_days, *HORIZONS_DAYS})

    def features(self, dataset: Dataset, as_of: datetime) -> pl.DataFrame:
        """Return the exact frame that the fitted model reads: one row a customer at `as_of`."""
        known = customer_features(dataset, as_of).with_columns(
            pl.lit(typical_spend(dataset, as_of)).alias(MONEY)
        )
        return self._with_processes(known)

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Learn from the cuts whose windows had ended by `as_of`.

        Raises
        ------
        MissingData
            If the dataset lacks what is needed, has too few days before `as_of`, or no money.
        """
        self.needs.check(dataset, self.name)
        check_money(dataset, as_of)
        whole = has_enough_history(dataset, as_of, self.horizon_days, 2 * self.horizon_days)
        ahead = self.horizon_days if whole else half_horizon(history_days(dataset, as_of))
        self.learnt_days_ = ahead
        days = cutoff_days(
            dataset, as_of, latest=ahead, step=self.cut_step_days, count=self.cuts, history=ahead
        )
        known = customer_features(dataset, as_of)
        self.typical_spend_ = typical_spend(dataset, as_of)
        self.process_ = BgNbd.fit(*purchase_history(known))
        self.spend_ = GammaGamma.fit(
            known.get_column("visits"), known.get_column("spend_per_visit")
        )
        frames = [self._with_processes(features_at_cutoff(dataset, as_of, day)) for day in days]
        happened = [
            orders_and_spend(dataset, as_of, day, ahead, frame["customer_id"])
            for day, frame in zip(days, frames, strict=True)
        ]
        self.orders_booster_ = self.spend_booster_ = None
        self.level_ = (1.0, 1.0)
        # What was learnt before the newest cut's window is tried on it: ranges and level are those
        # of answers to what was not learnt.
        before = [k for k, day in enumerate(days) if day + ahead <= days[0]]
        self._learn([frames[k] for k in before], [happened[k] for k in before])
        orders, spend = self._over(frames[0], ahead)
        level = [
            float(np.sqrt(_ratio(seen, said)))
            for seen, said in zip(happened[0], (orders, spend), strict=True)
        ]
        # Of levelled answers, as they are given: else the range lies beside what it is about.
        self.range_ = MoneyRange.fit(level[0] * orders, level[1] * spend, happened[0][1])
        self._learn(frames, happened)
        self.level_ = (level[0], level[1])
        return self

    def _learn(self, frames: list[pl.DataFrame], happened: list[tuple[Floats, Floats]]) -> None:
        if sum(frame.height for frame in frames) < FEWEST_EXAMPLES:
            return
        together = pl.concat(frames)
        inputs = together.select(
            name
            for name in together.columns
            if name != "customer_id" and not name.startswith(UNUSED)
        )
        orders, spend = (np.concatenate(kind) for kind in zip(*happened, strict=True))

        def boosted(label: Floats, objective: dict[str, Any]) -> Booster:
            params = self.trees.params(**objective)
            return Booster.fit(
                inputs, label, params, self.rounds, threads=self.threads, seed=self.seed
            )

        self.orders_booster_ = boosted(orders, {"objective": "poisson"})
        self.spend_booster_ = boosted(
            spend, {"objective": "tweedie", "tweedie_variance_power": self.tweedie_power}
        )

    def predict(
        self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Answer at `as_of` for `ids`, by default for every customer with a purchase.

        Returns
        -------
        polars.DataFrame
            customer_id; for each of the horizons orders_30, value_30, value_30_q10, value_30_q90;
            historic_value, total_value (historic and the next 365 days), average_order_value,
            days_between_orders and expected_next_order, a date; reasons (up to three, strongest
            first) and contributions (of each reason, in logs of the spend). Money is in the
            dataset's currency. What a customer has too little history for is null. Customers
            without a purchase get what is expected of a new one.
        """
        return known_customers.answers(
            self.features(dataset, as_of),
            ids,
            lambda features: self.predict_from(features, as_of),
            lambda unknown: self.newcomers(unknown, as_of),
        )

    def predict_from(
        self, features: pl.DataFrame, as_of: datetime, horizons: Sequence[int] | None = None
    ) -> pl.DataFrame:
        """Answer from rows of `features`; batch and serving both go through here.

        Parameters
        ----------
        horizons
            Days ahead, by default those of `horizons`.
        """
        money = features.get_column(MONEY).to_numpy()
        columns: dict[str, Any] = {"customer_id": features.get_column("customer_id")}
        for days in horizons or self.horizons:
            columns |= self._columns(days, *self._over(features, days), money)
        historic = features.get_column("spend_total").to_numpy() * money
        _, year = self._over(features, TOTAL_DAYS)
        columns["historic_value"] = historic
        columns["total_value"] = historic + year * money
        columns["average_order_value"] = historic / features.get_column("visits").to_numpy()
        columns["days_between_orders"] = features.get_column("gap_mean")
        columns["expected_next_order"] = _dates(
            as_of, self.process_.median_time_to_purchase(*purchase_history(features))
        )
        reasons = top_explanations(self._contributions(features), features, REASONS)
        return pl.DataFrame(columns).with_columns(explanation_columns(reasons))

    def newcomers(
        self, customer_ids: pl.Series, as_of: datetime, horizons: Sequence[int] | None = None
    ) -> pl.DataFrame:
        """Answer for customers of whom no purchase is known: as for one who came yesterday."""
        one, money = np.ones(customer_ids.len()), self.typical_spend_
        columns: dict[str, Any] = {"customer_id": customer_ids}
        for days in horizons or self.horizons:
            orders = self.process_.expected_purchases(0 * one, 0 * one, one, days)
            spend = orders * self.spend_.population_mean
            columns |= self._columns(days, orders, spend, money * one)
        year = self.process_.expected_purchases(0 * one, 0 * one, one, TOTAL_DAYS)
        columns["historic_value"] = 0 * one
        columns["total_value"] = year * self.spend_.population_mean * money
        columns["average_order_value"] = pl.Series([None] * len(one), dtype=pl.Float64)
        columns["days_between_orders"] = pl.Series([None] * len(one), dtype=pl.Float64)
        wait = self.process_.median_time_to_purchase(0 * one, 0 * one, one)
        columns["expected_next_order"] = _dates(as_of, wait)
        reasons = [[(NEWCOMER_REASON, 0.0)]] * len(one)
        return pl.DataFrame(columns).with_columns(explanation_columns(reasons))

    def explain(self, dataset: Dataset, as_of: datetime, ids: pl.DataFrame) -> pl.DataFrame:
        """Return each customer's reasons; `contribution` in logs of the spend.

        Where the processes answer alone, what they read is the reason and has no parts.
        """
        features = self.features(dataset, as_of).join(ids, on="customer_id", how="semi")
        return explanation_rows(self._contributions(features), features, REASONS)

    def _contributions(self, features: pl.DataFrame) -> pl.DataFrame:
        if self.spend_booster_ is not None:
            return self.spend_booster_.path_contributions(features)
        names = ("recency", "visits", "spend_per_visit")
        return features.select(pl.zeros(pl.len()).alias(name) for name in names)

    def save(self, folder: Path) -> None:
        """Write the native boosters, where there are any, and `value.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, booster in self._boosters().items():
            if booster is not None:
                booster.save(folder / name)
        content = {
            "options": options_of(self),
            "process": asdict(self.process_),
            "spend": asdict(self.spend_),
            "range": asdict(self.range_),
            "level": self.level_,
            "typical_spend": self.typical_spend_,
            "learnt_days": self.learnt_days_,
            "boosters": [name for name, one in self._boosters().items() if one is not None],
        }
        (folder / "value.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> Self:
        """Read what `save` wrote; predict with `threads`, by default as many as in fitting."""
        content = json.loads((folder / "value.json").read_text())
        model = model_with_options(cls, content["options"])
        model.threads = threads or model.threads
        found = {name: Booster.load(folder / name, model.threads) for name in content["boosters"]}
        model.orders_booster_, model.spend_booster_ = found.get("orders"), found.get("spend")
        model.learnt_days_ = content["learnt_days"]
        model.process_ = BgNbd(**content["process"])
        model.spend_ = GammaGamma(**content["spend"])
        model.range_ = MoneyRange(**content["range"])
        model.level_ = (content["level"][0], content["level"][1])
        model.typical_spend_ = content["typical_spend"]
        return model

    def _boosters(self) -> dict[str, Booster | None]:
        return {"orders": self.orders_booster_, "spend": self.spend_booster_}

    def _with_processes(self, features: pl.DataFrame) -> pl.DataFrame:
        orders, spend = self._by_processes(features, self.learnt_days_)
        return features.with_columns(
            pl.Series("expected_orders", orders), pl.Series("expected_spend", spend)
        )

    def _by_processes(self, features: pl.DataFrame, days: int) -> tuple[Floats, Floats]:
        """Return expected orders and spend, in units of the typical spend, over `days`."""
        orders = self.process_.expected_purchases(*purchase_history(features), days)
        basket = self.spend_.expected_spend(
            features.get_column("visits"), features.get_column("spend_per_visit")
        )
        return orders, orders * basket

    def _over(self, features: pl.DataFrame, days: int) -> tuple[Floats, Floats]:
        """Return the orders and the spend of the next `days`, in units of the typical spend."""
        answers = list(self._by_processes(features, days))
        learnt = (features.get_column(name).to_numpy() for name in PROCESSES)
        for k, (booster, process) in enumerate(zip(self._boosters().values(), learnt, strict=True)):
            if booster is not None:
                correction = booster.predict(features) / np.maximum(process, LEAST)
                answers[k] = np.maximum(answers[k], LEAST) * correction
            answers[k] = answers[k] * self.level_[k]
        return answers[0], answers[1]

    def _columns(
        self, days: int, orders: Floats, spend: Floats, money: Floats
    ) -> dict[str, Floats]:
        low, high = self.range_.of(orders, spend)
        return {
            f"orders_{days}": orders,
            f"value_{days}": spend * money,
            f"value_{days}_q10": low * money,
            f"value_{days}_q90": high * money,
        }


def check_money(dataset: Dataset, as_of: datetime) -> None:
    """Refuse records in which no purchase by a known customer brings anything.

    Raises
    ------
    MissingData
        Naming `orders.revenue`.
    """
    for column in ("customer_id", "revenue"):
        dataset.require("orders", column, by=ValueModel.name)
    paid = dataset.known("orders", as_of).filter(
        ~nw.col("customer_id").is_null(),
        nw.col("kind") != "return",
        nw.col("revenue") * MONEY_UNIT >= 1,
    )
    if paid.select("revenue").head(1).collect().is_empty():
        raise MissingData(
            f"value needs what customers pay, and no purchase by a known customer in dataset "
            f"{dataset.name} before {as_of.date()} has a revenue above 0. Map the column that "
            "holds it, or leave value out.",
            field="orders.revenue",
        )


# What the processes say at the learnt horizon, as features.
PROCESSES = ("expected_orders", "expected_spend")


def _ratio(seen: Floats, said: Floats) -> float:
    """Total that happened over the total that was said, no further from 1 than half or double."""
    return float(np.clip(seen.sum() / max(said.sum(), LEAST), 0.5, 2.0))


def _dates(as_of: datetime, wait: Floats) -> pl.Series:
    """Dates so many days after `as_of`; null where the wait has no end or is beyond ten years.

    Who came once may be silent for longer than calendars reach, if most who came once are.
    """
    ends = wait <= MOST_DAYS
    days = to_day(as_of) + np.floor(np.where(ends, wait, 0.0))
    dates = [
        day_start(int(day)).date() if end else None for day, end in zip(days, ends, strict=True)
    ]
    return pl.Series(dates, dtype=pl.Date)
