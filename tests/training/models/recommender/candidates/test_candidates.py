"""What holds for every candidate generator, and for their union."""

import numpy as np
import pytest

from training.models.recommender.candidates import collect_candidates, default_generators
from training.models.recommender.candidates.popular import Popular
from training.models.recommender.candidates.repeat import Repeat

NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))


@pytest.mark.parametrize("generator", default_generators(), ids=lambda generator: generator.name)
def test_scores_of_a_customer_do_not_depend_on_the_block(generator, inputs, cols):
    fitted = generator.fit(inputs, cols)
    together = fitted.scores(np.arange(10)).lookup(
        np.repeat(np.arange(10), len(cols)), np.tile(cols, 10)
    )
    alone = [
        fitted.scores(np.array([row])).lookup(np.zeros(len(cols), np.int64), cols)
        for row in range(10)
    ]
    assert np.array_equal(together, np.concatenate(alone), equal_nan=True)


@pytest.mark.parametrize("generator", default_generators(), ids=lambda generator: generator.name)
def test_candidates_are_within_the_limit_and_not_excluded(generator, inputs, cols):
    scores = generator.fit(inputs, cols).scores(np.arange(20))
    positions, products = scores.top(generator.limit, NOTHING)
    excluded = (positions[:5], products[:5])
    others = scores.top(generator.limit, excluded)
    rest = set(zip(*(part.tolist() for part in others), strict=True))
    assert not rest & set(zip(*(part.tolist() for part in excluded), strict=True))
    assert np.bincount(positions).max() <= generator.limit


def test_collected_candidates_are_distinct_and_further_generators_add_new_products(
    interactions, inputs, cols
):
    rows = np.arange(4)
    scores = [generator.fit(inputs, cols).scores(rows) for generator in (Repeat(), Popular())]
    positions, products = collect_candidates(scores, [20, 10], interactions.shape[1])
    pairs = set(zip(positions.tolist(), products.tolist(), strict=True))
    assert len(pairs) == len(positions)
    new = interactions.find(rows[positions], products) < 0
    assert np.bincount(positions[new], minlength=4).tolist() == [10] * 4
