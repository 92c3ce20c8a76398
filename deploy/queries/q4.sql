-- The most popular category in each age group; ties are kept.
WITH posts AS (
    SELECT
        category,
        CASE
            WHEN age BETWEEN 18 AND 24 THEN '18-24'
            WHEN age BETWEEN 25 AND 35 THEN '25-35'
            WHEN age BETWEEN 36 AND 50 THEN '36-50'
            WHEN age > 50 THEN '50+'
        END AS age_group
    FROM pin JOIN user ON pin.ind = user.ind
    WHERE age >= 18
),
counted AS (
    SELECT age_group, category, count(*) AS category_count
    FROM posts
    GROUP BY age_group, category
),
ranked AS (
    SELECT *, rank() OVER (PARTITION BY age_group ORDER BY category_count DESC) AS place
    FROM counted
)
SELECT age_group, category, category_count
FROM ranked
WHERE place = 1
ORDER BY age_group NULLS LAST, category NULLS LAST
