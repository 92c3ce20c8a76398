-- The median of followers by the year in which users joined, 2015 to 2020: the mean of both middle
-- values where there are two.
SELECT year(date_joined) AS post_year, median(follower_count) AS median_follower_count
FROM pin JOIN user ON pin.ind = user.ind
WHERE year(date_joined) BETWEEN 2015 AND 2020 AND follower_count IS NOT NULL
GROUP BY year(date_joined)
ORDER BY post_year NULLS LAST
