"""Order and alignment of feature columns."""

import polars as pl

from training.models.recommender.candidates import default_generators
from training.models.recommender.ranking.feature_columns import (
    GENERATORS,
    align_columns,
    column_order,
    concatenate_frames,
)


def test_every_default_generator_has_a_position():
    assert {generator.name for generator in default_generators()} == set(GENERATORS)


def test_columns_are_sorted_by_name_and_generators_by_their_list():
    names = ["share_of_category", "score_repeat", "baskets", "score_cold_start", "rank_popular"]
    expected = ["baskets", "rank_popular", "score_cold_start", "score_repeat", "share_of_category"]
    assert column_order(names) == expected


def test_a_further_generator_comes_after_those_in_the_list():
    names = ["share_of_category", "score_another", "score_user_knn"]
    assert column_order(names) == ["score_user_knn", "score_another", "share_of_category"]


def test_a_kind_of_promotion_that_is_not_planned_is_zero():
    frame = pl.DataFrame({"b": [1.0], "a": [2.0]}).cast(pl.Float32)
    aligned = align_columns(frame, ["a", "b", "display_this_week"])
    assert aligned.rows() == [(2.0, 1.0, 0.0)]


def test_frames_are_aligned_to_the_columns_of_all():
    frames = [pl.DataFrame({name: [1.0]}).cast(pl.Float32) for name in ("b", "a")]
    joined = concatenate_frames(frames)
    assert joined.columns == ["a", "b"]
    assert joined.rows() == [(0.0, 1.0), (1.0, 0.0)]
