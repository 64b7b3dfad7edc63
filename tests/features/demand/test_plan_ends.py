"""Where a plan ends: what is unknown after the last booked day, and what makes it known."""

import polars as pl
import pytest

from features.calendar import day_start
from features.demand.builder import demand
from features.demand.grain import Grain
from features.demand.plan import complete_before, read_plan
from features.demand.plan_ends import hidden_from, planned_days
from features.demand.scenario import apply_plan
from features.discontinued import discontinued_products
from features.errors import InvalidInput, MissingData

FIRST = 17_000
TODAY = FIRST + 140
HORIZON = 28
PRODUCTS = Grain.parse("product:week")
LOCATED = Grain.parse("product,location:week")
ROWS = [(p, where, FIRST + k, 1.0) for p in "ab" for where in "12" for k in range(140)]


def booked(kind="mailer", weeks=2, location="1", product="a"):
    """Promote a product in the first week of the records, and until `weeks` after today."""
    days = [(FIRST, FIRST + 7), (TODAY + 7 * weeks - 7, TODAY + 7 * weeks)]
    return [(product, location, kind, *interval) for interval in days]


def planned(dataset, kind="any", grain=PRODUCTS, product="b"):
    """Return the planned share of each week of a product, None where it is unknown."""
    frame = demand(dataset, grain, day_start(TODAY), HORIZON).collect().to_polars()
    rows = frame.filter(product_id=product)
    return rows[f"promotion_planned_{kind}"].fill_nan(None).to_list()


def under(dataset, *rows, until=None, grain=PRODUCTS):
    plan = read_plan(rows, day_start(TODAY))
    return apply_plan(dataset, plan, grain, TODAY, complete_before(plan, until, TODAY, HORIZON))


def mailer(product="b", week=2, days=7, **more):
    first = TODAY + 7 * week
    dates = {"from_date": date(first), "to_date": date(first + days)}
    return {"product_id": product, "kind": "mailer", **dates, **more}


def date(day):
    return day_start(day).date().isoformat()


def test_after_the_last_booked_day_promotions_are_unknown(shop):
    assert planned(shop(ROWS, booked(weeks=2))) == [0.0, 0.0, None, None]


def test_with_nothing_booked_from_as_of_on_the_horizon_is_unknown(shop):
    assert planned(shop(ROWS, booked(weeks=0))) == [None] * 4


def test_the_past_effect_of_promotions_is_known_where_the_plan_is_not(shop):
    frame = demand(shop(ROWS, booked(weeks=0)), PRODUCTS, day_start(TODAY), 7)
    effects = frame.collect().to_polars()["promotion_effect_mailer"]
    assert effects.is_finite().all()


def test_a_plan_for_the_whole_horizon_leaves_nothing_unknown(shop):
    assert planned(shop(ROWS, booked(weeks=4))) == [0.0] * 4


def test_each_kind_has_its_own_last_day_and_any_is_known_as_long_as_all(shop):
    dataset = shop(ROWS, booked(weeks=3) + booked("display", weeks=1))
    assert planned(dataset, "mailer") == [0.0, 0.0, 0.0, None]
    assert planned(dataset, "display") == [0.0, None, None, None]
    assert planned(dataset, "any") == [0.0, None, None, None]


def test_a_kind_that_was_not_booked_for_a_year_is_not_planned(shop):
    rows = [(p, "1", FIRST + k - 400, 1.0) for p in "ab" for k in range(540)]
    old = [("a", "1", "display", FIRST - 400, FIRST - 380)]
    assert planned(shop(rows, booked(weeks=4) + old), "any") == [0.0] * 4


def test_each_location_has_its_own_last_day(shop):
    dataset = shop(ROWS, booked(weeks=3) + booked(weeks=1, location="2"))
    known = planned(dataset, grain=LOCATED)
    assert known == [0.0, 0.0, 0.0, None, 0.0, None, None, None]


def test_a_location_without_any_promotion_is_unknown(shop):
    assert planned(shop(ROWS, booked(weeks=4)), grain=LOCATED) == [0.0] * 4 + [None] * 4


def test_a_promotion_everywhere_makes_the_plan_of_every_location_known(shop):
    dataset = shop(ROWS, booked(weeks=1) + booked(weeks=3, location=None))
    assert planned(dataset, grain=LOCATED) == [0.0, 0.0, 0.0, None] * 2


def test_unknown_weeks_of_the_past_teach_no_effect(shop):
    """Sales double after the last booked day: no week there counts as one without a promotion."""
    promoted = [FIRST + 14 * k for k in range(5)]
    plan = [("a", "1", "mailer", day, day + 7) for day in promoted]
    level = {day + k: 2.0 for day in promoted for k in range(7)}
    early = [("a", "1", FIRST + k, level.get(FIRST + k, 1.0)) for k in range(63)]
    later = [("a", "1", FIRST + k, 2.0) for k in range(63, 140)]
    frame = demand(shop(early + later, plan), PRODUCTS, day_start(TODAY), 7)
    assert frame.collect().to_polars()["promotion_effect_mailer"].item() > 0.3


def test_a_planned_promotion_makes_its_own_weeks_and_product_known(shop):
    dataset = under(shop(ROWS, booked(weeks=0) + booked("display", weeks=0)), mailer("b", 2))
    assert planned(dataset, "display") == [None, None, 0.0, None]
    assert planned(dataset, "mailer")[2] > 0
    assert planned(dataset, product="a") == [None] * 4


def test_a_planned_promotion_at_one_of_several_locations_leaves_their_total_unknown(shop):
    dataset = shop(ROWS, booked(weeks=0) + booked(weeks=0, location="2"))
    assert planned(under(dataset, mailer(location_id="1"))) == [None] * 4
    located = under(dataset, mailer(location_id="1"), grain=LOCATED)
    assert planned(located, grain=LOCATED) == [None, None, 1.0, None] + [None] * 4


def test_an_empty_plan_cancels_all_promotions_of_the_horizon(shop):
    dataset = shop(ROWS, booked(weeks=2, product="b"))
    assert planned(dataset) == [0.0, 1.0, None, None]
    assert planned(under(dataset)) == [0.0] * 4


def test_a_plan_is_complete_up_to_the_given_day(shop):
    dataset = under(shop(ROWS, booked(weeks=0)), mailer("a", 3), until=date(TODAY + 13))
    assert planned(dataset) == [0.0, 0.0, None, None]


def test_a_day_before_the_forecast_is_refused_as_the_end_of_a_plan():
    with pytest.raises(InvalidInput, match="is in the past") as caught:
        complete_before([], date(TODAY - 1), TODAY, HORIZON)
    assert caught.value.field == "plan_known_until"


def test_a_hidden_plan_is_unknown_and_its_prices_do_not_change(shop):
    prices = [("a", None, FIRST, 2.0), ("a", None, TODAY + 3, 1.0)]
    dataset = shop(ROWS, booked(weeks=4, product="a"), prices)
    hidden = hidden_from(dataset, PRODUCTS, TODAY)
    assert planned(hidden, product="a") == [None] * 4
    frame = demand(hidden, PRODUCTS, day_start(TODAY), HORIZON).collect().to_polars()
    assert frame.filter(product_id="a")["price_planned"].unique().to_list() == [2.0]


def test_a_hidden_plan_does_not_show_that_a_product_is_still_sold(shop):
    sold = [(p, where, day, n) for p, where, day, n in ROWS if p == "b" or day < FIRST + 70]
    dataset = shop(sold, booked(weeks=2, product="a"))
    assert discontinued_products(dataset, TODAY).to_list() == []
    hidden = hidden_from(dataset, PRODUCTS, TODAY)
    assert discontinued_products(hidden, TODAY).to_list() == ["a"]


def test_the_planned_days_are_those_after_today_up_to_the_last_booked_one(shop):
    assert planned_days(shop(ROWS, booked(weeks=3)), PRODUCTS, TODAY) == 21
    assert planned_days(shop(ROWS, booked(weeks=-3)), PRODUCTS, TODAY) == 0
    assert planned_days(shop(ROWS), PRODUCTS, TODAY) == 0


def test_sales_do_not_change_how_far_the_plan_is_known(shop):
    later = [*ROWS, ("b", "1", TODAY + 60, 5.0)]
    for rows in (ROWS, later):
        frame = demand(shop(rows, booked(weeks=2)), PRODUCTS, day_start(TODAY), 7).collect()
        assert frame["plan_until"].to_list() == [TODAY + 14] * 2


@pytest.mark.parametrize("depth", [None, 0.2])
def test_a_depth_is_refused_unless_depths_were_recorded(shop, rewritten, depth):
    dataset = shop(ROWS, booked(weeks=2))
    promotions = (
        dataset.table("promotions").to_native().with_columns(depth=pl.lit(depth, dtype=pl.Float64))
    )
    recorded = rewritten(dataset, promotions=promotions)
    if depth is None:
        for without in (dataset, recorded):
            with pytest.raises(MissingData, match=f"no depth .* before {date(TODAY)}") as e:
                under(without, mailer(depth=0.3))
            assert e.value.field == "plan[0].depth"
    else:
        assert max(planned(under(recorded, mailer(depth=0.3)), "the_price_off")[2:3]) > 0
