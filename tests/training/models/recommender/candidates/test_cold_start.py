"""Candidates among new products."""

from training.models.recommender.candidates.cold_start import ColdStart


def test_a_new_product_is_a_candidate_for_buyers_of_its_category(two_locations, candidates_of):
    assert "cheese" in candidates_of(ColdStart(), two_locations, "a")
