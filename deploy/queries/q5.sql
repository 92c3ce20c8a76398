-- The median of followers in each age group: the mean of both middle values where there are two.
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
)
SELECT age_group, median(follower_count) AS median_follower_count
FROM posts
GROUP BY age_group
ORDER BY age_group NULLS LAST
