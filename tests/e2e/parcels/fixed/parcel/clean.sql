-- Prices become cents, what is no price NULL; a city is written as often as there are copies.
SELECT
    id,
    city,
    weight,
    sent_at,
    CAST(TRY_CAST(price AS DECIMAL(18, 2)) * 100 AS BIGINT) AS cents,
    repeat(city, copies) AS note,
    CASE WHEN ratio > 0 THEN [ratio, sqrt(ratio)] WHEN ratio < 0 THEN [ratio, NULL] END AS pair
FROM parcel
