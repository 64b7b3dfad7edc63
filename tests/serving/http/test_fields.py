"""Any value of any type in any field is described, never an error of the description."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from features.errors import InvalidInput
from serving.audience.schemas import AudienceRequest
from serving.customers.schemas import AnyChurnRequest
from serving.demand.schemas import ForecastRequest
from serving.http.fields import QUOTED, invalid_input, quote
from serving.http.middleware import error_response
from serving.recommender.schemas import AnyRecommendRequest

# Worse than JSON: lone surrogates, integers of any size, NaN.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(1_000, 20_000).map(lambda bits: 2**bits)
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=[])), values, max_size=3)
    ),
    max_leaves=8,
)
REQUESTS = {
    "tagged": [TypeAdapter(AnyChurnRequest), TypeAdapter(AnyRecommendRequest)],
    "plain": [TypeAdapter(ForecastRequest), TypeAdapter(AudienceRequest)],
}
NAMES = ["customer_ids", "histories", "k", "series", "plan", "only", "boosts", "where", "as_of"]


def described(adapter: TypeAdapter[Any], value: Any, *, is_tagged: bool) -> InvalidInput | None:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return invalid_input(error, is_tagged=is_tagged)
    return None


@given(ANYTHING | st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4))
def test_every_refused_request_has_an_error_that_can_be_sent(value):
    for kind, adapters in REQUESTS.items():
        for adapter in adapters:
            error = described(adapter, value, is_tagged=kind == "tagged")
            if error is not None:
                response = error_response(
                    422, "invalid_input", error.message, field=error.field, request_id="r"
                )
                assert orjson.loads(response.body)["message"]


@given(ANYTHING)
def test_a_value_is_quoted_briefly(value):
    assert len(quote(value)) <= QUOTED
