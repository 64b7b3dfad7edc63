"""The ranker's neural network: its encoding, its scores and their explanation."""

import numpy as np
import polars as pl
import pytest

from training.models.recommender.ranking.neural import (
    LARGEST,
    MISSING,
    InputEncoding,
    NeuralNet,
    decode,
)
from training.models.recommender.ranking.neural_training import columns, fit_neural_net

ROWS = 6000
INCREASING = ["display_this_week"]


@pytest.fixture(scope="module")
def candidates():
    """Purchases by frequency, category and a promotion that helps half of the candidates."""
    rng = np.random.default_rng(4)
    frequency, category = rng.exponential(3, ROWS), rng.normal(size=ROWS)
    promoted = (rng.random(ROWS) < 0.3) * rng.random(ROWS)
    effect = np.where(category > 0, promoted, -promoted)
    log_odds = np.log1p(frequency) + category - 2 + 2 * effect
    bought = rng.random(ROWS) < 1 / (1 + np.exp(-log_odds))
    partly_missing = np.where(rng.random(ROWS) < 0.2, np.nan, category)
    static = pl.DataFrame({"frequency": frequency, "category": partly_missing})
    context = pl.DataFrame({"display_this_week": promoted, "recency": rng.exponential(9, ROWS)})
    frames = {"static": static.cast(pl.Float32), "context": context.cast(pl.Float32)}
    return frames, {"next": bought & (rng.random(ROWS) < 0.5), "month": bought}


@pytest.fixture(scope="module")
def neural(candidates):
    frames, labels = candidates
    return fit_neural_net(**frames, labels=labels, increasing=INCREASING, threads=1, seed=0)


@pytest.fixture(scope="module")
def codes(neural, candidates):
    frames, _ = candidates
    return neural.codes(encode(neural.static, frames["static"]), columns(frames["context"]))


def encode(encoding, frame):
    return encoding.encode(columns(frame), frame.height)


def test_candidates_with_higher_log_odds_are_bought_more_often(neural, codes, candidates):
    bought = candidates[1]["month"]
    by_log_odds = bought[np.argsort(neural.log_odds(codes)["month"])]
    thirds = [part.mean() for part in np.array_split(by_log_odds, 3)]
    assert thirds[0] < thirds[1] < thirds[2]
    assert thirds[2] > 2 * thirds[0]


def test_an_increasing_feature_never_lowers_an_output(neural, codes):
    column = neural.columns.index("display_this_week")
    more = codes.copy()
    more[:, column] = np.minimum(codes[:, column].astype(np.int64) + 40, LARGEST)
    for output, log_odds in neural.log_odds(codes).items():
        gain = neural.log_odds(more)[output] - log_odds
        assert gain.min() >= -1e-5
        assert gain.max() > 0.05


def test_contributions_add_up_to_the_log_odds(neural, codes):
    for output, log_odds in neural.log_odds(codes).items():
        parts = neural.contributions(codes[:50])[output]
        assert parts.shape == (50, len(neural.columns) + 1)
        assert parts.sum(axis=1) == pytest.approx(log_odds[:50], rel=1e-5)


def test_the_contribution_of_frequency_is_higher_for_frequent_purchases(neural, codes, candidates):
    frequency = candidates[0]["static"]["frequency"].to_numpy()
    part = neural.contributions(codes)["month"][:, neural.columns.index("frequency")]
    assert part[frequency > np.quantile(frequency, 0.9)].min() > part[frequency < 0.2].max()


def test_the_same_examples_give_the_same_network(neural, codes, candidates):
    frames, labels = candidates
    again = fit_neural_net(**frames, labels=labels, increasing=INCREASING, threads=1, seed=0)
    assert np.array_equal(again.log_odds(codes)["next"], neural.log_odds(codes)["next"])


def test_a_loaded_network_gives_the_same_scores(neural, codes, tmp_path):
    neural.save(tmp_path / "neural.npz")
    loaded = NeuralNet.load(tmp_path / "neural.npz")
    assert loaded.columns == neural.columns
    assert np.array_equal(loaded.log_odds(codes)["month"], neural.log_odds(codes)["month"])


def test_codes_keep_the_order_of_values_and_mark_missing_ones():
    values = np.array([-50.0, 0.0, 1.0, 4.0, 1e9, np.nan], np.float32)
    encoding = InputEncoding.fit({"gap": values[:4]})
    codes = encoding.encode({"gap": values}, 6)[:, 0].astype(np.int64)
    assert (np.diff(codes[:5]) > 0).all()
    assert codes[5] == MISSING
    assert decode(np.array([[MISSING]], np.int8), np.array([0])).tolist() == [[0.0, 1.0]]


def test_scores_do_not_depend_on_the_number_of_rows(neural, codes):
    together = neural.log_odds(codes[:700])["next"]
    alone = [neural.log_odds(codes[row : row + 1])["next"][0] for row in range(700)]
    assert together.tolist() == alone


def test_columns_that_are_missing_in_the_same_rows_share_an_indicator(candidates):
    frames, labels = candidates
    copied = frames["static"].with_columns(pl.col("category").alias("category_again"))
    fitted = fit_neural_net(copied, frames["context"], labels, increasing=[], threads=1, seed=0)
    assert [fitted.columns[column] for column in fitted.marked] == ["category"]


def test_an_absent_kind_of_promotion_is_zero(neural, candidates):
    frames, _ = candidates
    context = frames["context"].head(9)
    static = encode(neural.static, frames["static"].head(9))
    absent = neural.codes(static, columns(context.drop("display_this_week")))
    zero = neural.codes(static, columns(context.with_columns(display_this_week=pl.lit(0.0))))
    assert np.array_equal(absent, zero)


def test_a_feature_that_is_always_missing_is_allowed(candidates):
    frames, labels = candidates
    empty = frames["static"].with_columns(price=pl.lit(np.nan, pl.Float32))
    fitted = fit_neural_net(empty, frames["context"], labels, increasing=[], threads=1, seed=0)
    codes = fitted.codes(encode(fitted.static, empty), columns(frames["context"]))
    assert np.isfinite(fitted.log_odds(codes)["month"]).all()
