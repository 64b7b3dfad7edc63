"""The net beside the boosters: what it reads, what it answers, and why."""

import numpy as np
import polars as pl
import pytest

from training.models.recommender.ranking.neural import LARGEST, MISSING, Inputs, NeuralNet, read
from training.models.recommender.ranking.neural_training import fit_net

ROWS = 6000


@pytest.fixture(scope="module")
def candidates():
    """Candidates that are bought for their habit, their kind and a promotion that helps half."""
    rng = np.random.default_rng(4)
    habit, kind = rng.exponential(3, ROWS), rng.normal(size=ROWS)
    promoted = (rng.random(ROWS) < 0.3) * rng.random(ROWS)
    helped = np.where(kind > 0, promoted, -promoted)
    odds = np.log1p(habit) + kind - 2 + 2 * helped
    bought = rng.random(ROWS) < 1 / (1 + np.exp(-odds))
    taste = pl.DataFrame({"habit": habit, "kind": np.where(rng.random(ROWS) < 0.2, np.nan, kind)})
    moment = pl.DataFrame({"display_this_week": promoted, "recency": rng.exponential(9, ROWS)})
    both = {"taste": taste.cast(pl.Float32), "moment": moment.cast(pl.Float32)}
    return both, {"next": bought & (rng.random(ROWS) < 0.5), "month": bought}


@pytest.fixture(scope="module")
def net(candidates):
    frames, labels = candidates
    return fit_net(**frames, labels=labels, rising=["display_this_week"], threads=1, seed=0)


@pytest.fixture(scope="module")
def codes(net, candidates):
    frames, _ = candidates
    return net.codes(encode(net.static, frames["taste"]), arrays(frames["moment"]))


def arrays(frame):
    return {name: frame[name].to_numpy() for name in frame.columns}


def encode(inputs, frame):
    return inputs.codes(arrays(frame), frame.height)


def test_what_is_likelier_by_the_net_is_bought_more_often(net, codes, candidates):
    bought = candidates[1]["month"]
    by_odds = bought[np.argsort(net.log_odds(codes)["month"])]
    thirds = [part.mean() for part in np.array_split(by_odds, 3)]
    assert thirds[0] < thirds[1] < thirds[2]
    assert thirds[2] > 2 * thirds[0]


def test_more_of_what_must_rise_never_lowers_an_answer(net, codes):
    at = net.columns.index("display_this_week")
    more = codes.copy()
    more[:, at] = np.minimum(codes[:, at].astype(np.int64) + 40, LARGEST)
    for learner, odds in net.log_odds(codes).items():
        gain = net.log_odds(more)[learner] - odds
        assert gain.min() >= -1e-5
        assert gain.max() > 0.05


def test_contributions_add_up_to_the_log_odds(net, codes):
    for learner, odds in net.log_odds(codes).items():
        parts = net.contributions(codes[:50])[learner]
        assert parts.shape == (50, len(net.columns) + 1)
        assert parts.sum(axis=1) == pytest.approx(odds[:50], rel=1e-5)


def test_a_habit_speaks_for_what_is_bought_often(net, codes, candidates):
    habit = candidates[0]["taste"]["habit"].to_numpy()
    part = net.contributions(codes)["month"][:, net.columns.index("habit")]
    assert part[habit > np.quantile(habit, 0.9)].min() > part[habit < 0.2].max()


def test_the_same_candidates_teach_the_same_net(net, codes, candidates):
    frames, labels = candidates
    again = fit_net(**frames, labels=labels, rising=["display_this_week"], threads=1, seed=0)
    assert np.array_equal(again.odds(codes)["next"], net.log_odds(codes)["next"])


def test_a_saved_net_answers_alike(net, codes, tmp_path):
    net.save(tmp_path / "net.npz")
    loaded = NeuralNet.load(tmp_path / "net.npz")
    assert loaded.columns == net.columns
    assert np.array_equal(loaded.odds(codes)["month"], net.log_odds(codes)["month"])


def test_codes_keep_order_and_tell_what_is_missing():
    sizes = np.array([-50.0, 0.0, 1.0, 4.0, 1e9, np.nan], np.float32)
    inputs = Inputs.fit({"gap": sizes[:4]})
    found = inputs.codes({"gap": sizes}, 6)[:, 0].astype(np.int64)
    assert (np.diff(found[:5]) > 0).all()
    assert found[5] == MISSING
    assert read(np.array([[MISSING]], np.int8), np.array([0])).tolist() == [[0.0, 1.0]]


def test_how_many_rows_are_asked_about_at_once_changes_nothing(net, codes):
    together = net.log_odds(codes[:700])["next"]
    alone = [net.log_odds(codes[at : at + 1])["next"][0] for at in range(700)]
    assert together.tolist() == alone


def test_what_is_missing_together_is_marked_once(candidates):
    frames, labels = candidates
    alike = frames["taste"].with_columns(pl.col("kind").alias("kind_again"))
    found = fit_net(alike, frames["moment"], labels, rising=[], threads=1, seed=0)
    assert [found.columns[at] for at in found.marked] == ["kind"]


def test_a_promotion_that_nobody_plans_is_none(net, candidates):
    frames, _ = candidates
    moment = frames["moment"].head(9)
    taste = encode(net.static, frames["taste"].head(9))
    without = net.codes(taste, arrays(moment.drop("display_this_week")))
    zero = net.codes(taste, arrays(moment.with_columns(display_this_week=pl.lit(0.0))))
    assert np.array_equal(without, zero)


def test_what_is_always_missing_teaches_nothing_and_breaks_nothing(candidates):
    frames, labels = candidates
    empty = frames["taste"].with_columns(price=pl.lit(np.nan, pl.Float32))
    found = fit_net(empty, frames["moment"], labels, rising=[], threads=1, seed=0)
    codes = found.codes(encode(found.taste, empty), arrays(frames["moment"]))
    assert np.isfinite(found.odds(codes)["month"]).all()
