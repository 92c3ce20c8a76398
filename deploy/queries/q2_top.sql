-- The most popular category of each year, 2018 to 2022; ties are kept.
WITH counted AS (
    SELECT year(geo.timestamp) AS post_year, category, count(*) AS category_count
    FROM pin JOIN geo ON pin.ind = geo.ind
    WHERE year(geo.timestamp) BETWEEN 2018 AND 2022
    GROUP BY year(geo.timestamp), category
),
ranked AS (
    SELECT *, rank() OVER (PARTITION BY post_year ORDER BY category_count DESC) AS place
    FROM counted
)
SELECT post_year, category, category_count
FROM ranked
WHERE place = 1
ORDER BY post_year NULLS LAST, category NULLS LAST
