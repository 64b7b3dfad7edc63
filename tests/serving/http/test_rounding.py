from datetime import datetime

import numpy as np
import orjson
import pytest

from serving.http.respond import reply
from serving.http.rounding import round_answer

NUMBERS = {"score": 0.123456, "rank": 3, "name": "1.234567", "date": "2018-01-01", "due": None}


def test_floats_are_rounded_at_any_depth_and_nothing_else_changes():
    answer = [{"items": [NUMBERS, {"parts": {"a": -1e-9, "b": 1234.56789}}]}]
    assert round_answer(answer) == [
        {"items": [{**NUMBERS, "score": 0.1235}, {"parts": {"a": 0.0, "b": 1234.5679}}]}
    ]


def test_the_answer_that_is_given_is_not_changed():
    answer = [{"score": 0.123456}]
    round_answer(answer)
    assert answer == [{"score": 0.123456}]


def test_arrays_and_their_numbers_are_rounded():
    rounded = round_answer({"values": np.array([0.123456, np.nan]), "n": np.arange(2)})
    np.testing.assert_array_equal(rounded["values"], [0.1235, np.nan])
    assert rounded["n"].dtype.kind == "i"
    assert round_answer(np.float32(0.123456)) == pytest.approx(0.1235)


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 51])
async def test_results_are_rounded_unless_they_are_already(size):
    def compute():
        return [{"score": 0.123456}]

    response = await reply("model/1", datetime(2018, 1, 1), {}, compute, size)
    assert orjson.loads(response.body)["results"] == [{"score": 0.1235}]
    response = await reply("model/1", datetime(2018, 1, 1), {}, compute, size, rounded=True)
    assert orjson.loads(response.body)["results"] == [{"score": 0.123456}]
