"""Functions of the Python interface, on 300 real households."""

import pandas as pd
import pytest

import foresell
from features.errors import InvalidInput, NotFound
from training.models.churn.model import ChurnModel
from training.models.demand.model import DemandModel


@pytest.fixture(scope="module")
def shop(home):
    return foresell.load("complete-journey", home=home)


@pytest.mark.parametrize(
    ("builder", "key"),
    [
        ("customers", ["customer_id"]),
        ("interactions", ["customer_id", "product_id"]),
        ("demand", ["category", "day"]),
    ],
)
def test_features_come_as_pandas_in_the_order_of_their_key(shop, builder, key):
    frame = foresell.features(builder, shop, "2017-06-01", grain="category:week")
    assert isinstance(frame, pd.DataFrame)
    assert frame[key].drop_duplicates().shape[0] == frame.shape[0]
    assert frame[key].sort_values(key).equals(frame[key])


def test_an_unknown_builder_is_refused_and_known_ones_are_named(shop):
    with pytest.raises(NotFound, match="customers, interactions, demand"):
        foresell.features("weather", shop, "2017-06-01")


@pytest.mark.parametrize("function", [foresell.evaluate, foresell.train])
def test_an_unknown_task_is_refused_and_known_ones_are_named(shop, function):
    with pytest.raises(NotFound, match="churn, next-purchase"):
        function("chrun", shop)


@pytest.mark.parametrize(
    "function",
    [
        lambda shop: foresell.train("churn", shop, as_of="2031-01-01"),
        *(
            lambda shop, function=function: function(None, shop, as_of="2031-01-01")
            for function in (foresell.predict, foresell.totals, foresell.anomalies)
        ),
        lambda shop: foresell.explain(None, shop, "2031-01-01", ids=pd.DataFrame()),
    ],
)
def test_an_instant_after_the_last_record_is_refused_everywhere(shop, function):
    with pytest.raises(InvalidInput, match="as_of = 2031-01-01"):
        function(shop)


@pytest.fixture(scope="module")
def churn(shop):
    return foresell.train("churn", shop, as_of="2017-12-01", rounds=5, cutoffs=2)


def test_a_model_predicts_for_the_given_ids(shop, churn):
    ids = pd.DataFrame(
        {"customer_id": foresell.features("customers", shop, "2017-12-01").iloc[:3, 0]}
    )
    predictions = foresell.predict(churn, shop, "2017-12-01", ids)
    assert list(predictions["customer_id"]) == list(ids["customer_id"])
    assert predictions["churn_probability"].between(0, 1).all()


def test_an_unknown_customer_is_refused_on_request(shop, churn):
    assert len(foresell.predict(churn, shop, "2017-12-01", ["nobody"])) == 1
    with pytest.raises(NotFound, match="'nobody' is not known"):
        foresell.predict(churn, shop, "2017-12-01", ["nobody"], unknown="error")


@pytest.mark.parametrize(("argument", "country"), [(None, "NL"), ("DE", "DE")])
def test_the_country_is_that_of_the_settings_unless_one_is_given(
    shop, monkeypatch, argument, country
):
    monkeypatch.setenv("FORESELL_COUNTRY", "NL")
    monkeypatch.setattr(DemandModel, "fit", lambda self, *_: self)
    assert foresell.train("demand", shop, country=argument).country == country


@pytest.mark.parametrize(("task", "known"), [("churn", True), ("demand", False)])
def test_attributes_are_named_in_explanations_if_the_settings_allow_it(
    shop, monkeypatch, task, known
):
    monkeypatch.setenv("FORESELL_EXPLAIN_ATTRIBUTES", "true")
    for model in (ChurnModel, DemandModel):
        monkeypatch.setattr(model, "fit", lambda self, *_: self)
    assert getattr(foresell.train(task, shop), "explain_attributes", False) is known


def test_a_report_ranks_the_methods_and_draws_its_figures(shop):
    report = foresell.evaluate("churn", shop, folds=1)
    ranked = report.summary()["value"].to_list()
    assert ranked == sorted(ranked)
    assert foresell.plot(report)
