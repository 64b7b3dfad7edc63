"""Plans, totals, explanations and anomalies of demand, from the command line and Python."""

from datetime import date, timedelta
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from typer.testing import CliRunner

import foresell
from features.errors import InvalidInput
from foresell.cli import app

AS_OF = "2017-12-04"
KEYS = ["department", "date"]
ASSUMPTIONS = ["plan_known_until", "assumes"]
STORE = """name = "store"
[sales]
path = "sales.csv"
columns = { product_id = "product", day = "day", quantity = "units" }
constants = { location_id = "1" }
[promotions]
path = "offers.csv"
columns = { product_id = "product", from_day = "begins", to_day = "ends", depth = "depth" }
constants = { kind = "discount" }
"""


@pytest.fixture(scope="module")
def score(home, mlruns, tmp_path_factory):
    """Score demand of departments by week with further flags; returns (exit code, rows, stderr)."""
    folder = tmp_path_factory.mktemp("scores")
    env = {"FORESELL_HOME": str(home), "FORESELL_MLRUNS": str(mlruns), "COLUMNS": "200"}

    def invoke(*words, model="demand"):
        out = folder / "out.parquet"
        out.unlink(missing_ok=True)
        command = ["score", model, "--as-of", AS_OF, "--out", str(out), *words]
        if model == "demand":
            command += ["--grain", "department:week", "--horizon", "28"]
        result = CliRunner().invoke(app, command, env=env, catch_exceptions=False)
        rows = pl.read_parquet(out) if out.exists() else None
        return result.exit_code, rows, result.stderr

    return invoke


def test_a_country_without_known_holidays_is_refused(score, monkeypatch):
    monkeypatch.setenv("FORESELL_COUNTRY", "XX")
    code, rows, err = score()
    assert (code, rows) == (2, None)
    assert "country = 'XX'" in err


def test_another_country_trains_a_version_with_its_own_holidays(score, recorded, monkeypatch):
    monkeypatch.setenv("FORESELL_COUNTRY", "DE")
    code, rows, err = score()
    assert code == 0, err
    assert not rows["mean"].equals(recorded["mean"])
    monkeypatch.delenv("FORESELL_COUNTRY")
    assert score()[1]["mean"].equals(recorded["mean"])


@pytest.fixture(scope="module")
def recorded(score):
    code, rows, err = score()
    assert code == 0, err
    return rows


@pytest.fixture(scope="module")
def product(journey):
    """A bakery product that plans promote."""
    those = journey.table("products").to_native().filter(pl.col("department") == "PASTRY")
    sold = journey.table("orders").to_native().join(those, on="product_id", how="semi")
    return sold.collect()["product_id"].mode().sort()[0]


def test_a_plan_changes_only_the_weeks_and_departments_that_it_covers(
    score, recorded, product, tmp_path
):
    plan = tmp_path / "plan.csv"
    plan.write_text(f"product_id,kind,from_date,to_date\n{product},display,2017-12-11,2017-12-18\n")
    code, rows, err = score("--plan", str(plan))
    assert code == 0, err
    assert rows["mean_recorded_plan"].equals(recorded["mean"].alias("mean_recorded_plan"))
    assert (rows["mean"] - rows["mean_recorded_plan"]).equals(rows["difference"].alias("mean"))
    covered = (pl.col("department") == "PASTRY") & (pl.col("date").cast(pl.String) == "2017-12-11")
    assert rows.filter(~covered, pl.col("difference") != 0).is_empty()


def test_a_deeper_discount_never_lowers_the_forecast(tmp_path, mlruns):
    weeks, products = 40, [f"p{n:02d}" for n in range(30)]
    days = [date(2024, 1, 1) + timedelta(weeks=week) for week in range(weeks)]
    rng = np.random.default_rng(3)
    depth = np.where(rng.random((30, weeks)) < 0.3, rng.choice([0.1, 0.3, 0.5], (30, weeks)), 0.0)
    sold = rng.poisson(rng.uniform(4, 20, 30)[:, None] * (1 + 3 * depth))
    cells = [(n, k) for n in range(30) for k in range(weeks)]
    pl.DataFrame(
        {
            "product": [products[n] for n, _ in cells],
            "day": [days[k] for _, k in cells],
            "units": [sold[cell] for cell in cells],
        }
    ).write_csv(tmp_path / "sales.csv")
    off = [(n, k) for n, k in cells if depth[n, k] > 0]
    pl.DataFrame(
        {
            "product": [products[n] for n, _ in off],
            "begins": [days[k] for _, k in off],
            "ends": [days[k] + timedelta(weeks=1) for _, k in off],
            "depth": [depth[cell] for cell in off],
        }
    ).write_csv(tmp_path / "offers.csv")
    (tmp_path / "store.toml").write_text(STORE)
    env = {
        "FORESELL_HOME": str(tmp_path / "home"),
        "FORESELL_MLRUNS": str(mlruns),
        "FORESELL_DATASET": "store",
    }
    invoke = partial(CliRunner().invoke, app, env=env, catch_exceptions=False)
    done = invoke(["data", "import", str(tmp_path / "store.toml")])
    assert done.exit_code == 0, done.stderr
    plan, out, means = tmp_path / "plan.csv", tmp_path / "out.parquet", []
    for deep in (0.1, 0.3, 0.5):
        plan.write_text(
            "product_id,kind,depth,from_date,to_date\n"
            + "".join(f"{name},discount,{deep},2024-10-07,2024-10-14\n" for name in products)
        )
        words = ["--grain", "product:week", "--horizon", "28", "--plan", str(plan)]
        done = invoke(["score", "demand", "--as-of", "2024-10-07", "--out", str(out), *words])
        assert done.exit_code == 0, done.stderr
        rows = pl.read_parquet(out).sort("product_id", "date")
        means.append(rows.filter(pl.col("date") == date(2024, 10, 7))["mean"].to_numpy())
    assert (np.diff(means, axis=0) >= -1e-9).all()
    assert means[2].sum() > 1.2 * means[0].sum()


def test_an_invalid_plan_is_named_by_row_and_field(score, product, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text(f"product_id,kind,from_date,to_date\n{product},radio,2017-12-11,2017-12-18\n")
    code, rows, err = score("--plan", str(plan))
    assert (code, rows) == (2, None)
    assert "plan[0].kind = 'radio'" in err


def test_an_empty_plan_cancels_the_promotions_of_the_horizon(score, recorded, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text("product_id,kind,from_date,to_date\n")
    code, rows, err = score("--plan", str(plan))
    assert code == 0, err
    assert rows["mean"].sum() < recorded["mean"].sum()
    assert rows["mean_recorded_plan"].sum() == pytest.approx(recorded["mean"].sum())


def test_the_end_of_a_plan_needs_a_plan(score):
    code, rows, err = score("--plan-known-until", "2017-12-31")
    assert (code, rows) == (2, None)
    assert "give --plan as well" in err


def test_totals_are_the_sums_of_forecasts(score, recorded):
    code, rows, err = score("--totals", "department,all", "--quantiles", "0.1,0.975")
    assert code == 0, err
    assert rows.columns == [
        "total", "department", "date", "mean", "q10", "q97.5", "series", *ASSUMPTIONS
    ]  # fmt: skip
    daily = recorded.group_by("date").agg(pl.col("mean").sum()).sort("date")["mean"].to_list()
    for total in ("department", "all"):
        sums = rows.filter(pl.col("total") == total).group_by("date").agg(pl.col("mean").sum())
        assert sums.sort("date")["mean"].to_list() == pytest.approx(daily, abs=1e-9)


def test_the_last_running_total_is_the_sum_over_the_horizon(score, recorded):
    code, rows, err = score("--totals", "department", "--running")
    assert code == 0, err
    last = rows.filter(pl.col("date") == pl.col("date").max()).sort("department")
    sums = recorded.group_by("department").agg(pl.col("mean").sum()).sort("department")
    assert last["mean"].to_list() == pytest.approx(sums["mean"].to_list(), rel=1e-9)
    assert (last["q10"] < last["q90"]).all()


def test_given_series_are_forecast_as_among_all(score, recorded, tmp_path):
    wanted = tmp_path / "series.csv"
    wanted.write_text("department\nPASTRY\n")
    code, rows, err = score("--series", str(wanted))
    assert code == 0, err
    assert rows.equals(recorded.filter(pl.col("department") == "PASTRY"))
    wanted.write_text("department\nPASTRY\nROCKETS\n")
    code, rows, err = score("--series", str(wanted))
    assert (code, rows) == (2, None)
    assert "department 'ROCKETS' is unknown" in err
    wanted.write_text("product_id\n1\n")
    assert "lacks the column 'department'" in score("--series", str(wanted))[2]


def test_contributions_add_up_to_forecasts(score, recorded):
    code, rows, err = score("--explain")
    assert code == 0, err
    sums = rows.group_by(KEYS).agg(pl.col("units").sum()).sort(KEYS)
    joined = sums.join(recorded, on=KEYS, how="left")
    assert sums.height >= 4 * 5
    assert sums["units"].to_list() == pytest.approx(joined["mean"].to_list(), rel=1e-9)


def test_any_quantile_can_be_written(score):
    code, rows, err = score("--quantiles", "0.025,0.33")
    assert code == 0, err
    assert rows.columns == ["department", "date", "mean", "q2.5", "q33", *ASSUMPTIONS]
    assert (rows["q2.5"] <= rows["q33"]).all()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--explain", "--anomalies"), "different rows"),
        (("--quantiles", "many"), "quantiles = 'many'"),
        (("--totals", "colour"), "not a level"),
        (("--running",), "give --totals as well"),
        (("--plan", "nowhere.csv"), "no such file"),
    ],
)
def test_options_that_do_not_go_together_are_refused(score, words, expected):
    code, rows, err = score(*words)
    assert (code, rows) == (2, None)
    assert expected in err.replace("\n", " ")


def test_an_option_of_demand_is_refused_for_other_models(score):
    code, _, err = score("--explain", model="churn")
    assert code == 2
    assert "--explain is an option of demand" in err


@pytest.fixture(scope="module")
def shop(home):
    return foresell.load("complete-journey", home=home)


@pytest.fixture(scope="module")
def model(shop):
    quick = {"rounds": 15, "members": 1, "rows": 8_000}
    return foresell.train("demand", shop, AS_OF, grain="department:week", horizon_days=28, **quick)


def test_python_predicts_under_a_plan(model, shop, product):
    plan = pd.DataFrame(
        {
            "product_id": [product],
            "kind": ["display"],
            "from_date": [pd.Timestamp("2017-12-04")],
            "to_date": [pd.Timestamp("2018-01-01")],
        }
    )
    ids = pd.DataFrame({"department": ["PASTRY", "GROCERY"]})
    answers = foresell.predict(model, shop, AS_OF, ids, plan=plan)
    assert {"mean", "mean_recorded_plan", "difference"} <= set(answers.columns)
    assert (answers[answers["department"] != "PASTRY"]["difference"] == 0).all()


def test_python_contributions_add_up(model, shop):
    ids = pd.DataFrame({"department": ["PASTRY"]})
    reasons = foresell.explain(model, shop, AS_OF, ids=ids)
    mean = foresell.predict(model, shop, AS_OF, ids)["mean"]
    assert reasons.groupby("date")["units"].sum().to_list() == pytest.approx(mean.to_list())


def test_python_returns_recent_anomalies(model, shop):
    anomalies = foresell.anomalies(model, shop, AS_OF)
    assert list(anomalies.columns[:3]) == ["department", "date", "units"]
    assert (anomalies["date"] < pd.Timestamp(AS_OF)).all()


def test_a_plan_is_for_demand_in_python_too(shop):
    churn = foresell.train("churn", shop, as_of="2017-12-01", rounds=5)
    with pytest.raises(InvalidInput, match="is for demand"):
        foresell.predict(churn, shop, "2017-12-01", plan=pd.DataFrame({"product_id": ["1"]}))
