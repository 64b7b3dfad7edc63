"""The ranker's neural network: its scores and their attribution."""

import numpy as np
import pytest

from training.models.recommender.ranking.encoding import LARGEST, InputEncoding
from training.models.recommender.ranking.neural import NeuralNet
from training.models.recommender.ranking.neural_training import fit_neural_net

ROWS = 6000
FREQUENCY, CATEGORY, PROMOTION = 0, 1, 2


@pytest.fixture(scope="module")
def examples():
    """Codes and purchases by frequency, category and a promotion that helps half of the rows."""
    rng = np.random.default_rng(4)
    frequency, category = rng.exponential(3, ROWS), rng.normal(size=ROWS)
    promotion = (rng.random(ROWS) < 0.3) * rng.random(ROWS)
    effect = np.where(category > 0, promotion, -promotion)
    log_odds = np.log1p(frequency) + category - 2 + 2 * effect
    bought = rng.random(ROWS) < 1 / (1 + np.exp(-log_odds))
    features = {
        "frequency": frequency.astype(np.float32),
        "category": np.where(rng.random(ROWS) < 0.2, np.nan, category).astype(np.float32),
        "promotion": promotion.astype(np.float32),
    }
    codes = InputEncoding.fit(features).encode(features, ROWS)
    return codes, {"next": bought & (rng.random(ROWS) < 0.5), "month": bought}


def fit(codes, labels, increasing=(PROMOTION,)):
    return fit_neural_net(codes, labels, np.array(increasing, np.int64), threads=1, seed=0)


@pytest.fixture(scope="module")
def neural(examples):
    return fit(*examples)


def test_candidates_with_higher_scores_are_bought_more_often(neural, examples):
    codes, labels = examples
    bought = labels["month"][np.argsort(neural.scores(codes)["month"])]
    thirds = [part.mean() for part in np.array_split(bought, 3)]
    assert thirds[0] < thirds[1] < thirds[2]
    assert thirds[2] > 2 * thirds[0]


def test_an_increasing_column_never_lowers_a_score(neural, examples):
    codes, _ = examples
    more = codes.copy()
    more[:, PROMOTION] = np.minimum(codes[:, PROMOTION].astype(np.int64) + 40, LARGEST)
    for output, scores in neural.scores(codes).items():
        gain = neural.scores(more)[output] - scores
        assert gain.min() >= -1e-5
        assert gain.max() > 0.05


def test_attributions_are_the_difference_from_the_average_candidate(neural, examples):
    codes = examples[0][:50]
    average = np.zeros((1, codes.shape[1]), np.int8)
    parts = neural.attributions(codes, {"month": 1.0})
    difference = neural.scores(codes)["month"] - neural.scores(average)["month"]
    assert parts.shape == codes.shape
    # Eight midpoints approximate the integral along the path.
    assert parts.sum(axis=1) == pytest.approx(difference, abs=0.15)


def test_the_attribution_of_frequency_is_higher_for_frequent_purchases(neural, examples):
    codes, _ = examples
    part = neural.attributions(codes, {"month": 1.0})[:, FREQUENCY]
    rare, frequent = np.quantile(codes[:, FREQUENCY], (0.05, 0.9))
    assert part[codes[:, FREQUENCY] > frequent].min() > part[codes[:, FREQUENCY] < rare].max()


def test_the_same_examples_give_the_same_network(neural, examples):
    codes, labels = examples
    again = fit(codes, labels)
    assert np.array_equal(again.scores(codes)["next"], neural.scores(codes)["next"])


def test_a_loaded_network_gives_the_same_scores(neural, examples, tmp_path):
    neural.save(tmp_path / "neural.npz")
    loaded = NeuralNet.load(tmp_path / "neural.npz")
    codes = examples[0]
    assert np.array_equal(loaded.scores(codes)["month"], neural.scores(codes)["month"])


def test_scores_do_not_depend_on_the_number_of_rows(neural, examples):
    codes = examples[0][:300]
    alone = [neural.scores(codes[row : row + 1])["next"][0] for row in range(300)]
    assert neural.scores(codes)["next"].tolist() == alone


def test_columns_that_are_missing_in_the_same_rows_share_an_indicator(examples):
    codes, labels = examples
    copied = np.column_stack([codes, codes[:, CATEGORY]])
    assert fit(copied, labels).marked.tolist() == [CATEGORY]
