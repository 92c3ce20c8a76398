-- The lower median of followers in each age group: a value that exists, the middle one or, of two,
-- the smaller.
WITH posts AS (
    SELECT
        follower_count,
        CASE
            WHEN age BETWEEN 18 AND 24 THEN '18-24'
            WHEN age BETWEEN 25 AND 35 THEN '25-35'
            WHEN age BETWEEN 36 AND 50 THEN '36-50'
            WHEN age > 50 THEN '50+'
        END AS age_group
    FROM pin JOIN user ON pin.ind = user.ind
    WHERE age >= 18 AND follower_count IS NOT NULL
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY age_group ORDER BY follower_count) AS place,
        count(*) OVER (PARTITION BY age_group) AS posts_count
    FROM posts
)
SELECT age_group, follower_count AS median_follower_count
FROM ranked
WHERE 2 * place BETWEEN posts_count AND posts_count + 1
ORDER BY age_group NULLS LAST
