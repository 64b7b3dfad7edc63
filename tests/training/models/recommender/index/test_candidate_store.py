"""Files of published candidates."""

from training.models.recommender.index.candidate_store import About

WRITTEN = About(
    as_of="2024-06-03T00:00:00",
    horizon_days=28,
    list_length=100,
    lists=("now", "month"),
    reasons=("repeat", "popular"),
    groups=("repeat", "cadence"),
    interaction_state=("baskets",),
    customer_state=("customer_baskets",),
    product_state=("product_gap",),
)


def test_scalars_are_read_as_written(tmp_path):
    WRITTEN.save(tmp_path)
    assert About.load(tmp_path) == WRITTEN
