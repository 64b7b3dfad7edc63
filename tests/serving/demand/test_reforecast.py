"""Forecasts under another plan, and explanations, from a published folder."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.calendar import day_start
from features.dataset import Dataset
from features.errors import InvalidInput, NotFound
from serving.demand.reader import DemandReader
from training.contract import model_with_options
from training.models.demand.model import DemandModel
from training.models.demand.publish import publish
from training.models.demand.scenario import predict_scenario

FIRST = 17_000
WEEKS = 44
TODAY = FIRST + 7 * (WEEKS - 4)
AS_OF = day_start(TODAY)
# The mailer triples sales of every product; this one never had a mailer.
NEVER = "p07"


def date(week):
    return day_start(TODAY + 7 * week).date().isoformat()


@pytest.fixture(scope="module")
def shop():
    """Generate sales that a mailer triples, lower prices raise and a display does not change."""
    rng = np.random.default_rng(1)
    products = [f"p{i:02d}" for i in range(60)]
    rate = rng.uniform(4, 20, len(products))
    weeks = np.arange(WEEKS)
    mailer = rng.random((len(products), WEEKS)) < 0.2
    mailer[products.index(NEVER)] = False
    display = rng.random(mailer.shape) < 0.1
    price = rng.choice([1.0, 1.5, 2.0], mailer.shape)
    lift = np.where(mailer, 3.0, 1.0) * price**-1.5
    sold = rng.poisson(rate[:, None] * lift)
    day = (FIRST + 7 * weeks).astype(np.int32)
    keys = {"product_id": np.repeat(products, WEEKS), "location_id": "1"}
    days = np.tile(day, len(products))
    plan = [
        pl.DataFrame({**keys, "kind": kind, "from_day": days, "to_day": days + 7}).filter(
            pl.Series(promoted.ravel())
        )
        for kind, promoted in (("mailer", mailer), ("display", display))
    ]
    frames = {
        "sales": pl.DataFrame({**keys, "day": days, "quantity": sold.ravel().astype(float)}),
        "promotions": pl.concat(plan),
        "prices": pl.DataFrame({**keys, "from_day": days, "price": price.ravel()}),
    }
    return Dataset.from_frames("shop", frames)


@pytest.fixture(scope="module")
def model(shop):
    options = {"grain": "product:week", "horizon_days": 28, "learning_rate": 0.1}
    small = {"rows": 5_000, "rounds": 60, "members": 2, "min_data_in_leaf": 50}
    return model_with_options(DemandModel, {**options, **small}).fit(shop, AS_OF)


@pytest.fixture(scope="module")
def reader(model, shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    publish(model, shop, AS_OF, folder)
    return DemandReader.load(folder)


def mailer(product, week=1, **more):
    return {
        "product_id": product,
        "kind": "mailer",
        "from_date": date(week),
        "to_date": date(week + 1),
        **more,
    }


def answer(reader, products, **more):
    return reader.answer([{"product_id": product} for product in products], **more)


@pytest.fixture(scope="module")
def frame(as_columns):
    def rows(answers):
        return pl.DataFrame(
            [
                {"product_id": answer["product_id"], **as_columns(point)}
                for answer in answers
                for point in answer["forecast"]
            ]
        )

    return rows


def test_a_served_scenario_equals_the_batch_scenario(reader, model, shop, frame):
    plan = [
        mailer("p03"),
        mailer("p05", 2, kind="display", location_id="1"),
        {"product_id": "p08", "price": 0.9, "from_date": date(1), "to_date": date(3)},
        mailer("p09", 0, kind="none"),
    ]
    products = ["p09", "p03", "p04", "p05", "p08"]
    levels = [0.1, 0.5, 0.9, 0.975]
    served = frame(answer(reader, products, plan=plan, quantiles=levels)).sort("product_id", "date")
    ids = pl.DataFrame({"product_id": products})
    scored = predict_scenario(model, shop, AS_OF, plan, ids, quantiles=levels)
    assert scored.filter(pl.col("difference") != 0)["product_id"].n_unique() >= 3
    scored = scored.drop("plan_known_until", "assumes")
    assert_frame_equal(
        served.select(scored.columns),
        scored.with_columns(pl.col("date").cast(pl.String)),
        rel_tol=0,
        abs_tol=1e-9,
    )


def test_the_recorded_plan_as_a_plan_gives_the_recorded_forecast(reader, shop, frame):
    recorded = shop.table("promotions").to_native().collect().filter(pl.col("from_day") >= TODAY)
    plan = recorded.select(
        "product_id",
        "kind",
        pl.col("from_day").cast(pl.Date).cast(pl.String).alias("from_date"),
        pl.col("to_day").cast(pl.Date).cast(pl.String).alias("to_date"),
    )
    products = plan["product_id"].unique().sort().to_list()
    rows = frame(answer(reader, products, plan=plan.to_dicts()))
    assert rows["difference"].to_list() == [0.0] * rows.height
    assert rows["mean"].equals(frame(answer(reader, products))["mean"])


def test_a_promotion_changes_only_the_weeks_and_products_that_it_covers(reader, frame):
    rows = frame(answer(reader, ["p20", "p21", "p22"], plan=[mailer("p21", 2)]))
    moved = rows.filter(pl.col("difference") != 0)
    assert moved.select("product_id", "date").rows() == [("p21", date(2))]
    assert moved["difference"].item() > moved["mean_recorded_plan"].item()


def test_a_kind_that_is_new_to_a_product_has_its_effect_on_other_products(reader, frame):
    rows = frame(answer(reader, [NEVER], plan=[mailer(NEVER, week) for week in range(4)]))
    assert (rows["mean"] / rows["mean_recorded_plan"]).to_list() == pytest.approx(
        [3.0] * 4, rel=0.35
    )


def test_the_kind_other_has_the_effect_of_any_promotion(reader, frame):
    weeks = range(4)
    scenarios = {
        kind: frame(answer(reader, ["p20"], plan=[mailer("p20", w, kind=kind) for w in weeks]))
        for kind in ("mailer", "display", "other")
    }
    lift = {
        kind: rows["mean"].sum() / rows["mean_recorded_plan"].sum()
        for kind, rows in scenarios.items()
    }
    assert lift["display"] <= lift["other"] <= lift["mailer"]
    assert lift["mailer"] > 2


def test_a_removed_promotion_lowers_the_weeks_for_which_it_was_recorded(reader, shop, frame):
    recorded = shop.table("promotions").to_native().collect()
    recorded = recorded.filter(pl.col("kind") == "mailer", pl.col("from_day") == TODAY)
    product = recorded["product_id"].sort()[0]
    rows = frame(answer(reader, [product], plan=[mailer(product, 0, kind="none")]))
    assert rows["difference"][0] < 0
    assert rows["difference"][1:].to_list() == [0.0] * 3


def test_an_empty_plan_lowers_the_weeks_with_a_recorded_mailer_and_no_others(reader, shop, frame):
    recorded = shop.table("promotions").to_native().collect()
    recorded = recorded.filter(pl.col("kind") == "mailer", pl.col("from_day") == TODAY)
    product = recorded["product_id"].sort()[0]
    rows = frame(answer(reader, [product], plan=[]))
    assert rows["difference"][0] < 0


def test_an_answer_states_how_far_the_plan_is_known_and_what_it_assumes(reader, shop):
    result = answer(reader, ["p20"])[0]
    ends = shop.table("promotions").to_native().group_by("kind").agg(pl.col("to_day").max())
    last = day_start(ends.collect()["to_day"].min() - 1).date().isoformat()
    assert result["plan_known_until"] == last
    assert result["assumes"] == ["prices unchanged after their last known change"]


def test_a_plan_that_is_complete_for_longer_is_stated(reader):
    until = day_start(TODAY + 99).date().isoformat()
    result = answer(reader, ["p20"], plan=[mailer("p20")], plan_known_until=until)[0]
    assert result["plan_known_until"] == until


def test_a_plan_of_other_products_or_days_is_noted(reader):
    plan = [mailer("p21", 2)]
    other, touched = answer(reader, ["p20", "p21"], plan=plan)
    assert "changes no forecast" in other["notes"][0]
    assert "notes" not in touched
    before = answer(reader, ["p21"], horizon_days=14, plan=plan)[0]
    assert "changes no forecast" in before["notes"][0]


def test_how_far_a_plan_is_known_is_refused_without_a_plan(reader):
    with pytest.raises(InvalidInput, match="give `plan` as well") as caught:
        answer(reader, ["p20"], plan_known_until=date(1))
    assert caught.value.field == "plan_known_until"


def test_a_lower_price_raises_the_weeks_in_which_it_is_valid(reader, frame):
    low = {"product_id": "p30", "price": 1.0, "from_date": date(0), "to_date": date(4)}
    high = {**low, "price": 2.0}
    means = [frame(answer(reader, ["p30"], plan=[plan]))["mean"] for plan in (low, high)]
    assert (means[0] > means[1]).all()


def test_the_same_request_has_the_same_answer(reader):
    request = {"plan": [mailer("p21", 2)], "explain": True}
    assert answer(reader, ["p21"], **request) == answer(reader, ["p21"], **request)


def test_an_unknown_id_in_a_plan_is_refused_by_row_and_field(reader):
    with pytest.raises(NotFound, match="nothing with it was sold") as caught:
        answer(reader, ["p21"], plan=[mailer("p21"), mailer("none")])
    assert caught.value.field == "plan[1].product_id"
    with pytest.raises(InvalidInput, match="display, mailer") as caught:
        answer(reader, ["p21"], plan=[mailer("p21", kind="radio")])
    assert caught.value.field == "plan[0].kind"


@pytest.mark.parametrize("plan", [None, [mailer("p21", week) for week in range(4)]])
def test_explanations_are_those_of_the_model_and_sum_to_the_mean(
    reader, model, shop, plan, as_columns
):
    answers = answer(reader, ["p21"], plan=plan, explain=True)
    points = [*map(as_columns, answers[0]["forecast"])]
    for point in points:
        assert sum(point["explanation"].values()) == pytest.approx(point["mean"], rel=1e-9)
    if plan:
        assert all(
            point["explanation"]["promotion"] > 0.5 * point["mean_recorded_plan"]
            for point in points
        )
    else:
        scored = model.explain(shop, AS_OF, pl.DataFrame({"product_id": ["p21"]}))
        wide = scored.pivot(on="reason", index="date", values="units").sort("date").drop("date")
        for point, row in zip(points, wide.iter_rows(named=True), strict=True):
            assert point["explanation"] == pytest.approx(row, abs=1e-6)
