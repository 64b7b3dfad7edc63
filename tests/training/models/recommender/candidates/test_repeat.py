"""Candidates among repeat purchases."""

import numpy as np

from training.models.recommender.candidates.base import SparseScores
from training.models.recommender.candidates.repeat import Repeat

NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_candidates_have_the_highest_decayed_frequency(interactions, inputs, cols):
    positions, products = Repeat().fit(inputs, cols).scores(np.array([0])).top(5, NOTHING)
    decayed = interactions.features["decay_basket"]
    fifth = np.sort(decayed[interactions.rows == 0])[-5]
    chosen = decayed[interactions.find(positions, products)]
    assert len(products) == 5
    assert chosen.min() >= fifth


def test_products_that_the_customer_never_bought_score_zero(interactions, inputs, cols):
    scores = Repeat().fit(inputs, cols).scores(np.array([0]))
    assert isinstance(scores, SparseScores)
    bought = interactions.cols[interactions.rows == 0]
    never = np.setdiff1d(np.arange(interactions.shape[1]), bought)[:3]
    assert scores.lookup(np.zeros(3, np.int64), never).tolist() == [0, 0, 0]
