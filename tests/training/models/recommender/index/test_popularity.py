"""Popular products of locations and of the chain, on generated orders."""

from datetime import datetime

from training.models.recommender.index.catalogue import Catalogue
from training.models.recommender.index.popularity import PopularProducts

AS_OF = datetime(2024, 6, 3)


def test_popularity_at_a_location_differs_from_the_chain_where_there_are_enough_baskets(shop):
    rows = [(f"c{n}", f"x{n}", "tea", 3, "north") for n in range(300)]
    rows += [(f"d{n}", f"y{n}", "coffee", 3, "south") for n in range(400)]
    rows += [("e", "z", "maté", 3, "kiosk")]
    dataset = shop(rows, AS_OF)
    products = Catalogue.build(dataset, AS_OF)
    popular = PopularProducts.build(dataset, AS_OF, products)

    def first(location):
        position = popular.position(location) if location else -1
        return products.ids[int(popular.most_popular(position)[0][0])]

    assert (first("north"), first("south"), first(None)) == ("tea", "coffee", "coffee")
    # One basket is too few.
    assert first("kiosk") == "coffee"
    assert first("a new shop") == "coffee"


def test_products_whose_sales_rose_at_this_date_a_year_ago_rank_higher(shop):
    rows = [(f"c{n}", f"a{n}", "ice", 10, "x") for n in range(90)]
    rows += [(f"c{n}", f"b{n}", "soup", 10, "x") for n in range(110)]
    year = 364
    for n in range(300):
        rows.append((f"c{n}", f"p{n}", "soup" if n % 4 else "ice", year + 14, "x"))
        rows.append((f"c{n}", f"q{n}", "ice" if n % 4 else "soup", year - 14, "x"))
    dataset = shop(rows, AS_OF)
    products = Catalogue.build(dataset, AS_OF)
    popular = PopularProducts.build(dataset, AS_OF, products)
    assert popular.seasonal[0]
    assert products.ids[int(popular.top[-1][0])] == "ice"
    recent = shop([row for row in rows if row[3] < 100], AS_OF)
    assert not PopularProducts.build(recent, AS_OF, Catalogue.build(recent, AS_OF)).seasonal[0]


def test_a_product_launched_a_year_ago_has_no_season(shop):
    year = 364
    rows = [(f"c{n}", f"a{n}", "old", 10, "x") for n in range(110)]
    rows += [(f"c{n}", f"b{n}", "launched", 10, "x") for n in range(90)]
    ages = (year + 99, year + 14, year - 14)
    rows += [(f"c{n}", f"{age}-{n}", "old", age, "x") for n in range(300) for age in ages]
    rows += [(f"c{n}", f"{ages[-1]}-{n}", "launched", ages[-1], "x") for n in range(300)]
    dataset = shop(rows, AS_OF)
    products = Catalogue.build(dataset, AS_OF)
    popular = PopularProducts.build(dataset, AS_OF, products)
    assert popular.seasonal[0]
    assert products.ids[int(popular.top[-1][0])] == "old"
