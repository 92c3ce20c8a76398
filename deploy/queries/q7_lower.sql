-- The lower median of followers by the year in which users joined, 2015 to 2020: a value that
-- exists, the middle one or, of two, the smaller.
WITH posts AS (
    SELECT year(date_joined) AS post_year, follower_count
    FROM pin JOIN user ON pin.ind = user.ind
    WHERE year(date_joined) BETWEEN 2015 AND 2020 AND follower_count IS NOT NULL
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY post_year ORDER BY follower_count) AS place,
        count(*) OVER (PARTITION BY post_year) AS posts_count
    FROM posts
)
SELECT post_year, follower_count AS median_follower_count
FROM ranked
WHERE 2 * place BETWEEN posts_count AND posts_count + 1
ORDER BY post_year NULLS LAST
