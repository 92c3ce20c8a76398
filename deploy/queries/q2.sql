-- Posts per category and year, 2018 to 2022.
SELECT year(geo.timestamp) AS post_year, category, count(*) AS category_count
FROM pin JOIN geo ON pin.ind = geo.ind
WHERE year(geo.timestamp) BETWEEN 2018 AND 2022
GROUP BY year(geo.timestamp), category
ORDER BY post_year NULLS LAST, category NULLS LAST
