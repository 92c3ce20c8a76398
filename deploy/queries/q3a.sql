-- Whose posts have the most followers in each country; ties are kept.
WITH posters AS (
    SELECT country, poster_name, max(follower_count) AS follower_count
    FROM pin JOIN geo ON pin.ind = geo.ind
    WHERE follower_count IS NOT NULL
    GROUP BY country, poster_name
),
ranked AS (
    SELECT *, rank() OVER (PARTITION BY country ORDER BY follower_count DESC) AS place
    FROM posters
)
SELECT country, poster_name, follower_count
FROM ranked
WHERE place = 1
ORDER BY country NULLS LAST, poster_name NULLS LAST
