-- How many users joined in each year, 2015 to 2020.
SELECT year(date_joined) AS post_year, count(*) AS number_users_joined
FROM user
WHERE year(date_joined) BETWEEN 2015 AND 2020
GROUP BY year(date_joined)
ORDER BY post_year NULLS LAST
