"""Encoding of features in one byte each."""

import numpy as np

from training.models.recommender.ranking.encoding import MISSING, InputEncoding, decode


def test_codes_keep_the_order_of_values_and_mark_missing_ones():
    values = np.array([-50.0, 0.0, 1.0, 4.0, 1e9, np.nan], np.float32)
    encoding = InputEncoding.fit({"gap": values[:4]})
    codes = encoding.encode({"gap": values}, 6)[:, 0].astype(np.int64)
    assert (np.diff(codes[:5]) > 0).all()
    assert codes[5] == MISSING
    decoded = decode(codes.astype(np.int8))
    assert decoded[:5].tolist() == codes[:5].tolist()
    assert np.isnan(decoded[5])


def test_an_absent_kind_of_promotion_is_zero():
    values = np.array([0.0, 1.0, 3.0], np.float32)
    encoding = InputEncoding.fit({"display_this_week": values, "recency": values})
    absent = encoding.encode({"recency": values}, 3)
    zero = encoding.encode({"recency": values, "display_this_week": np.zeros(3, np.float32)}, 3)
    assert np.array_equal(absent, zero)


def test_a_feature_that_is_always_missing_is_allowed():
    encoding = InputEncoding.fit({"price": np.full(3, np.nan, np.float32)})
    assert (encoding.encode({"price": np.full(2, np.nan, np.float32)}, 2) == MISSING).all()
