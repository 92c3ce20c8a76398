-- The most popular category in each country; ties are kept.
WITH counted AS (
    SELECT country, category, count(*) AS category_count
    FROM pin JOIN geo ON pin.ind = geo.ind
    GROUP BY country, category
),
ranked AS (
    SELECT *, rank() OVER (PARTITION BY country ORDER BY category_count DESC) AS place
    FROM counted
)
SELECT country, category, category_count
FROM ranked
WHERE place = 1
ORDER BY country NULLS LAST, category NULLS LAST
