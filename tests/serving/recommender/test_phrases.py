"""Sentences by facts about a product."""

import pytest

from serving.recommender.phrases import Facts, sentences


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            Facts("repeat", ("repeat", "promotion"), 9, 11, 12.2, promotions=("discount",)),
            ["you buy this every 12 days", "reduced this week"],
        ),
        (
            Facts("repeat", ("repeat", "cadence"), 9, 11, 12.2, due=True, promotions=("discount",)),
            ["you buy this every 12 days", "about time again"],
        ),
        (Facts("repeat", times=1, age_days=21), ["you bought this 21 days ago"]),
        (
            Facts(
                "similar",
                ("neighbours", "category", "promotion"),
                partner="BREAD",
                is_regular=True,
                category="CHEESE",
                promotions=("display",),
                promoted_at_location=True,
            ),
            ["goes with BREAD, which you buy", "on display here this week"],
        ),
        (Facts("popular", popular=True, at_location=True), ["popular here now"]),
        # A habit that ended is not stated as one.
        (Facts("repeat", ("repeat",), 20, 200, 12.2), ["you bought this 29 weeks ago"]),
        (Facts("repeat", times=9), ["you bought this before"]),
        (Facts("popular", times=0), ["customers who buy what you buy choose this"]),
        # Promotions of the chain are not attributed to a location without a plan.
        (
            Facts("popular", ("promotion",), promotions=("display",), at_location=True),
            ["on display this week"],
        ),
        (Facts("similar"), ["customers who buy what you buy choose this"]),
        (Facts("new", neighbour="TEA", new=True), ["new in the range"]),
        (Facts("new", neighbour="TEA"), ["like TEA, which you bought"]),
        # Facts without an influence on the score are left out, such as this promotion.
        (Facts("popular", ("category",), category="TEA", promotions=("x",)), ["you often buy TEA"]),
    ],
)
def test_facts_are_stated_in_order_of_importance(facts, expected):
    assert sentences(facts) == expected
