"""Names of columns that tables, features and answers share."""

CUSTOMER_ID = "customer_id"
PRODUCT_ID = "product_id"
LOCATION_ID = "location_id"
ORDER_ID = "order_id"
DAY = "day"
