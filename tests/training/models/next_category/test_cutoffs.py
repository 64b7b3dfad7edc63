from datetime import datetime

from training.models.next_category.cutoffs import leading_categories, past_cutoffs

AS_OF = datetime(2017, 10, 9)


def test_follow_up_lasts_one_horizon_or_until_as_of(journey):
    names = leading_categories(journey, AS_OF, 5)
    cutoffs = past_cutoffs(journey, AS_OF, names, 56, step=28, count=3)
    assert [cutoff.follow_up_days for cutoff in cutoffs] == [28, 56, 56]
    for cutoff in cutoffs:
        assert cutoff.days_to_purchase[cutoff.purchased].max() < cutoff.follow_up_days
        assert set(cutoff.days_to_purchase[~cutoff.purchased]) == {cutoff.follow_up_days}
