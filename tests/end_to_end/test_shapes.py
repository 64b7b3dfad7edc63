"""Three shops of different shape, from a mapping file to imports, models and responses."""

import itertools
import json
import math
from datetime import date, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from foresell.cli import app
from serving.app import build_app
from serving.predictor import VersionHolder
from serving.readers import READERS
from training.published import versions as published

WEB_SHOP = """name = "web-shop"
[orders]
path = "web-*.csv"
date_format = "%m/%d/%Y %H:%M"
columns = { customer_id = "Customer ID", order_id = "Invoice", product_id = "StockCode", ts = "InvoiceDate", quantity = "Quantity", channel = "Channel" }
returns = { column = "Invoice", starts_with = "C" }
drop = [
    { column = "StockCode", in = ["POST"], reason = "not a product" },
    { column = "StockCode", starts_with = "TEST", reason = "a test line" },
]
[products]
path = "web-*.csv"
columns = { product_id = "StockCode", name = "Description" }
"""  # noqa: E501
LOG = """name = "log"
[orders]
path = "log.csv"
columns = { customer_id = "client", day = "date", revenue = "amount" }
"""
STORE = """name = "store"
[sales]
path = "store.parquet"
date_format = "%G-W%V"
columns = { product_id = "item", location_id = "store", day = "week", quantity = "units", price = "price", on_sale = "offer" }
"""  # noqa: E501

ABLE = {
    "web-shop": {"demand", "churn", "next-purchase", "recommender"},
    "log": {"churn", "next-purchase", "value"},
    "store": {"demand"},
}
WITH_CUSTOMERS = ("web-shop", "log")
ROUTES = {
    "churn": ("churn", {}),
    "next-purchase": ("next_purchase", {"within_days": [7, 30]}),
    "value": ("value", {}),
    "recommender": ("recommend", {"k": 5}),
}


def visits(
    random: np.random.Generator, customers: int, days: int, gaps: tuple[float, float]
) -> pl.DataFrame:
    """Generate days of visits: each customer joins, visits at their own rate, and may churn."""
    rows = []
    for customer in range(customers):
        day, pace = random.uniform(0, 0.7 * days), random.uniform(*gaps)
        end = day + random.exponential(0.9 * days)
        while day < min(end, days):
            rows.append((customer, int(day)))
            day += 1 + random.gamma(2.0, pace / 2)
    return pl.DataFrame(rows, ["customer", "day"], orient="row").sort("day", "customer")


def web_shop(folder: Path) -> str:
    """Write two years of two channels with cancellations, postage and test lines, but no money.

    There are two files, of which the second begins before the first ends.
    """
    random = np.random.default_rng(3)
    start, products = datetime(2021, 1, 4, 9), 40
    preferences = random.dirichlet(np.full(products, 0.3), size=5)
    rows: list[tuple[str, str, str, int, datetime, str, str]] = []
    for number, (customer, day) in enumerate(visits(random, 200, 730, (25, 90)).iter_rows()):
        when = start + timedelta(days=day, minutes=int(random.integers(0, 600)))
        invoice = str(500_000 + number)
        buyer = (
            str(12_000 + customer),
            "app" if random.random() < customer % 3 / 3 else "web",
        )
        chosen = random.choice(products, size=3, p=preferences[customer % 5])
        lines = [(f"A{p:03d}", f"THING {p}", int(random.integers(1, 7))) for p in chosen]
        rows += [(invoice, *line, when, *buyer) for line in lines]
        if number % 9 == 0:
            rows.append((invoice, "POST", "POSTAGE", 1, when, *buyer))
        if number % 15 == 0:
            code, name, units = lines[0]
            later = when + timedelta(hours=20)
            rows.append((f"C{invoice}", code, name, -units, later, *buyer))
        if number % 50 == 0:
            rows.append((f"9{invoice}", "TEST001", "a test of the till", 1, when, "", "web"))
    names = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Customer ID"]
    written = pl.DataFrame(rows, [*names, "Channel"], orient="row").with_columns(
        pl.col("InvoiceDate").dt.strftime("%m/%d/%Y %H:%M")
    )
    middle = written.height // 2
    written.head(middle + 200).write_csv(folder / "web-1.csv")
    written.slice(middle).write_csv(folder / "web-2.csv")
    return WEB_SHOP


def log(folder: Path) -> str:
    """Write 39 weeks of customer, date and amount alone."""
    random = np.random.default_rng(4)
    rows = visits(random, 200, 273, (7, 40))
    day = pl.lit(date(2023, 2, 6)) + pl.duration(days=pl.col("day"))
    amount = pl.Series(random.gamma(3.0, 12.0, rows.height).round(2))
    rows.select(client="customer", date=day, amount=amount).write_csv(folder / "log.csv")
    return LOG


def store(folder: Path) -> str:
    """Write two years of weekly sales: units, price, and whether there was an offer."""
    random = np.random.default_rng(5)
    weeks = [f"{year}-W{week:02d}" for year in (2021, 2022) for week in range(1, 53)]
    frames = []
    for number in range(24):
        offer = random.random(len(weeks)) < 0.12
        season = 1 + 0.4 * np.sin(2 * np.pi * (np.arange(len(weeks)) + number) / 52)
        rate = random.uniform(4, 20) * season * np.where(offer, 2.2, 1.0)
        price = np.where(offer, 0.8, 1.0) * random.uniform(2, 9)
        frames.append(
            pl.DataFrame(
                {
                    "item": f"i{number // 2:02d}",
                    "store": "north" if number % 2 else "south",
                    "week": weeks,
                    "units": random.poisson(rate),
                    "price": price.round(2),
                    "offer": offer,
                }
            )
        )
    pl.concat(frames).write_parquet(folder / "store.parquet")
    return STORE


SHOPS = {"web-shop": web_shop, "log": log, "store": store}


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """A folder per shop with its files, its mapping and its home."""
    folders = {}
    for name, write in SHOPS.items():
        folder = tmp_path_factory.mktemp(name)
        (folder / "shop.toml").write_text(write(folder))
        folders[name] = folder
    return folders


@pytest.fixture(scope="module")
def run(homes, mlruns):
    """Run a command on a shop; returns the JSON that it prints."""
    runner = CliRunner()

    def invoke(shop: str, *words: str):
        env = {
            "FORESELL_HOME": str(homes[shop] / "home"),
            "FORESELL_MLRUNS": str(mlruns),
            "FORESELL_THREADS": "1",
        }
        result = runner.invoke(app, [*words, "--json"], env=env, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return invoke


@pytest.fixture(scope="module")
def imported(homes, run):
    """Report of each import."""
    return {
        name: run(name, "data", "import", str(folder / "shop.toml"))["tables"]
        for name, folder in homes.items()
    }


@pytest.fixture(scope="module")
def shown(imported, run):
    """Rows of `data show` by shop and model."""
    return {
        name: {row["model"]: row for row in run(name, "data", "show", name)["models"]}
        for name in imported
    }


@pytest.fixture(scope="module")
def nights(imported, run):
    """Reports of the nightly job on two nights, for a shop without earlier training."""
    return [run("log", "retrain", "--dataset", "log", "--folds", "1") for _ in range(2)]


@pytest.fixture(scope="module")
def trained(imported, nights, run):
    """Figures of every trained model, by shop and model."""
    figures = {
        name: run(name, "train", "all", "--dataset", name, "--folds", "1")
        for name in ("web-shop", "store")
    }
    return {
        name: {row["version"].partition("/")[0]: row for row in rows}
        for name, rows in figures.items()
    }


@pytest.fixture(scope="module")
def post(homes, trained):
    """Post a request to a shop's published version, in this process."""
    apps = {}
    for name, folder in homes.items():
        predictor = VersionHolder([folder / "home"], READERS, poll_seconds=600)
        predictor.refresh()
        apps[name] = build_app(predictor)

    def send(shop: str, route: str, **body) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(apps[shop])
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
                return await http.post(f"/v1/{route}", json=body)

        return anyio.run(request)

    return send


@pytest.fixture(scope="module")
def ask(post):
    """Results of a successful request."""

    def results(shop: str, route: str, **body):
        response = post(shop, route, **body)
        assert response.status_code == 200, response.text
        return response.json()["results"]

    return results


@pytest.fixture(scope="module")
def regulars(homes, imported):
    """The most frequent customer of each shop."""
    customers = {}
    for name in WITH_CUSTOMERS:
        stored = [*(homes[name] / f"home/datasets/{name}/tables").glob("orders-*")]
        counts = pl.read_parquet(stored).get_column("customer_id").value_counts()
        customers[name] = counts.sort("count", "customer_id").item(-1, "customer_id")
    return customers


@pytest.mark.parametrize("shop", SHOPS)
def test_every_row_that_is_read_is_counted(imported, shop):
    for table in imported[shop].values():
        assert table["read"] == table["accepted"] + table["quarantined"] + table["duplicates"]


def test_test_lines_are_quarantined_and_cancellations_are_returns(imported, homes, run):
    groups = run("web-shop", "data", "quarantine", "web-shop")["groups"]
    assert {group["reason"] for group in groups} == {"not a product", "a test line"}
    stored = [*(homes["web-shop"] / "home/datasets/web-shop/tables").glob("orders-*")]
    orders = pl.read_parquet(stored)
    lines = pl.read_csv([*homes["web-shop"].glob("web-*.csv")]).unique()
    cancelled = lines.filter(pl.col("Invoice").cast(pl.String).str.starts_with("C")).height
    returns = orders.filter(pl.col("kind") == "return")
    assert returns.height == cancelled
    assert (returns.get_column("quantity") < 0).all()


@pytest.mark.parametrize("shop", SHOPS)
def test_show_lists_which_models_can_run_and_what_others_lack(shown, shop):
    able = {model for model, row in shown[shop].items() if row["can_run"] == "yes"}
    assert able == ABLE[shop]
    for model, row in shown[shop].items():
        assert (model in able) == (row["lacks"] == "")
        assert (model in able) == bool(row["horizon_days"] and row["reason"])


def test_horizons_fit_the_gaps_of_the_shop(shown):
    assert shown["web-shop"]["churn"]["horizon_days"] > 2 * shown["log"]["churn"]["horizon_days"]


def test_weekly_records_get_a_weekly_grain(shown):
    setup = shown["store"]["demand"]
    assert setup["grain"] == "product,location:week"
    assert setup["horizon_days"] % 7 == 0
    assert "weeks" in setup["reason"]


@pytest.mark.parametrize("shop", ["web-shop", "store"])
def test_models_that_can_run_are_trained_and_evaluated(trained, shop):
    assert trained[shop].keys() == ABLE[shop]
    for row in trained[shop].values():
        assert math.isfinite(row["foresell"])
        assert math.isfinite(row["baseline"])
        # A small shop leaves little to learn, but no model may be far behind a simple method.
        assert row["ratio"] < 1.25 if row["metric"] != "ndcg_10" else row["ratio"] > 0.8


def test_the_first_night_trains_and_serves_and_the_second_changes_nothing(nights):
    first, second = nights
    promoted = {row["task"] for row in first["outcomes"] if row["promoted"]}
    assert promoted == ABLE["log"]
    assert not any(row["trained"] for row in second["outcomes"])
    assert (second["snapshot"], second["published"]) == (first["snapshot"], first["published"])


@pytest.mark.parametrize("shop", SHOPS)
def test_trained_models_are_published(homes, trained, shop):
    served = published.read(published.current(homes[shop] / "home"))
    assert served.models.keys() == ABLE[shop]
    assert {model.as_of for model in served.models.values()} == {
        max(model.as_of for model in served.models.values())
    }


@pytest.mark.parametrize(
    ("shop", "model"),
    [(shop, model) for shop in WITH_CUSTOMERS for model in sorted(ABLE[shop] & ROUTES.keys())],
)
def test_a_known_and_an_unknown_customer_are_answered(ask, regulars, shop, model):
    route, body = ROUTES[model]
    known, unknown = ask(shop, route, customer_ids=[regulars[shop], "nobody"], **body)
    assert known["basis"] == "history"
    assert unknown["basis"] == "population"
    for answer in (known, unknown):
        for name, value in answer.items():
            if isinstance(value, float):
                assert math.isfinite(value), name
    if model == "recommender":
        assert len(known["items"]) == len(unknown["items"]) == 5
        assert not any(item["product_id"].startswith(("POST", "TEST")) for item in known["items"])
    if model == "churn":
        assert 0 < known["churn_probability"] < 1
        assert known["explanations"]
    if model == "next-purchase":
        assert known["within"][0]["probability"] < known["within"][-1]["probability"]


@pytest.mark.parametrize(
    ("shop", "series", "usual"),
    [("web-shop", {"product_id": "A007"}, None), ("store", {"product_id": "i03"}, 7)],
)
def test_forecasts_have_the_periods_of_the_records(ask, shown, shop, series, usual):
    setup = shown[shop]["demand"]
    if "location" in setup["grain"]:
        series = {**series, "location_id": "north"}
    (answer,) = ask(shop, "forecast", series=[series])
    days = [date.fromisoformat(point["date"]) for point in answer["forecast"]]
    step = 7 if setup["grain"].endswith("week") else 1
    assert step == (usual or step)
    assert len(days) == setup["horizon_days"] // step
    assert {(b - a).days for a, b in itertools.pairwise(days)} == {step}
    for point in answer["forecast"]:
        units = [quantile["units"] for quantile in point["quantiles"]]
        assert units[0] >= 0
        assert units == sorted(units)
        assert 0 < point["mean"] < 100


@pytest.mark.parametrize("shop", WITH_CUSTOMERS)
def test_a_profile_has_null_for_what_is_missing(ask, regulars, shop):
    (profile,) = ask(shop, "customer", customer_ids=[regulars[shop]])
    assert profile["visits"] > 0
    assert profile["churn"]["churn_probability"] > 0
    assert (profile["value"] is not None) == ("value" in ABLE[shop])
    assert profile["favourite_channel"] in {"web-shop": ("web", "app"), "log": (None,)}[shop]


def test_a_posted_history_of_one_channel_is_answered_where_there_are_several(ask):
    orders = [{"ts": f"2022-{month:02d}-11", "channel": "web"} for month in range(3, 12)]
    (answer,) = ask("web-shop", "churn", histories=[{"orders": orders}])
    assert answer["basis"] == "history"
    assert 0 < answer["churn_probability"] < 1


def test_a_model_that_cannot_run_is_refused_with_a_message(post):
    response = post("log", "recommend", customer_ids=["7"])
    assert response.status_code == 503
    assert "no recommender model" in response.json()["message"]
