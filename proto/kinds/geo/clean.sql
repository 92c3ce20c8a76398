-- Where and when a post was made: latitude and longitude become one pair. A pair with a half missing
-- is no place, so it is NULL.
--
-- rule coordinates_missing: latitude IS NULL OR longitude IS NULL
SELECT
    ind,
    country,
    CASE
        WHEN latitude IS NULL OR longitude IS NULL THEN NULL
        ELSE [latitude, longitude]
    END AS coordinates,
    "timestamp"
FROM geo
