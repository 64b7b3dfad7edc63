"""Candidates from customers' categories."""

from training.models.recommender.candidates.same_category import SameCategory


def test_products_of_a_category_are_candidates_for_its_buyers(two_locations, candidates_of):
    assert candidates_of(SameCategory(), two_locations, "a") == ["cheese", "milk"]
