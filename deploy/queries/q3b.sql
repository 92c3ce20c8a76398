-- The country of whoever has the most followers of all; ties are kept.
WITH countries AS (
    SELECT country, max(follower_count) AS follower_count
    FROM pin JOIN geo ON pin.ind = geo.ind
    WHERE follower_count IS NOT NULL
    GROUP BY country
),
ranked AS (
    SELECT *, rank() OVER (ORDER BY follower_count DESC) AS place
    FROM countries
)
SELECT country, follower_count
FROM ranked
WHERE place = 1
ORDER BY country NULLS LAST
