-- The median of followers in each age group, by the year in which users joined, 2015 to 2020: the
-- mean of both middle values where there are two.
WITH posts AS (
    SELECT
        follower_count,
        year(date_joined) AS post_year,
        CASE
            WHEN age BETWEEN 18 AND 24 THEN '18-24'
            WHEN age BETWEEN 25 AND 35 THEN '25-35'
            WHEN age BETWEEN 36 AND 50 THEN '36-50'
            WHEN age > 50 THEN '50+'
        END AS age_group
    FROM pin JOIN user ON pin.ind = user.ind
    WHERE age >= 18 AND follower_count IS NOT NULL
        AND year(date_joined) BETWEEN 2015 AND 2020
)
SELECT age_group, post_year, median(follower_count) AS median_follower_count
FROM posts
GROUP BY age_group, post_year
ORDER BY age_group NULLS LAST, post_year NULLS LAST
