"""Candidates by sales of the previous year."""

from training.models.recommender.candidates.seasonal import Seasonal


def test_products_sold_in_the_same_weeks_a_year_ago_are_candidates(seasonal_sales, candidates_of):
    assert candidates_of(Seasonal(), seasonal_sales, "a") == ["pumpkin"]
