"""Files of published candidates."""

import json

import pytest

from features.errors import InvalidInput
from training.models.recommender.index.candidate_store import ABOUT, About

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


@pytest.mark.parametrize("change", [{"reasons": None}, {"static_learners": ["next"]}])
def test_files_of_another_version_are_refused_with_the_remedy(tmp_path, change):
    WRITTEN.save(tmp_path)
    content = json.loads((tmp_path / ABOUT).read_text()) | change
    kept = {name: value for name, value in content.items() if value is not None}
    (tmp_path / ABOUT).write_text(json.dumps(kept))
    with pytest.raises(InvalidInput, match="foresell train recommender"):
        About.load(tmp_path)
