-- A post as its table holds it: what the producers write for "nothing" becomes NULL, counts in words
-- become numbers, and the place where the file was saved loses its label.
--
-- rule title_missing: title IN ('No Title Data Available', '')
-- rule description_missing: description IN ('No description available Story format', 'No description available', 'Untitled', '')
-- rule poster_name_missing: poster_name IN ('User Info Error', '')
-- rule follower_count_missing: follower_count IN ('User Info Error', '')
-- rule follower_count_scaled: lower(right(follower_count, 1)) IN ('k', 'm', 'b')
-- rule tag_list_missing: tag_list IN ('N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e', '')
-- rule image_src_missing: image_src IN ('Image src error.', '')
-- rule save_location_labelled: starts_with(save_location, 'Local save in ')
SELECT
    "index" AS ind,
    unique_id,
    CASE WHEN title IN ('No Title Data Available', '') THEN NULL ELSE title END AS title,
    CASE
        WHEN description IN (
            'No description available Story format', 'No description available', 'Untitled', ''
        ) THEN NULL
        ELSE description
    END AS description,
    -- 124k, 5M; what has a point, 1.5k, goes through decimals, so that nothing is lost on the way.
    -- What is no number, or more than 64 bits hold, fails the row.
    CASE
        WHEN follower_count IN ('User Info Error', '') THEN NULL
        WHEN contains(follower_count, '.') THEN CAST(
            CASE
                WHEN right(follower_count, 1) IN ('k', 'K')
                    THEN CAST(left(follower_count, -1) AS DECIMAL(38, 9)) * 1000
                WHEN right(follower_count, 1) IN ('m', 'M')
                    THEN CAST(left(follower_count, -1) AS DECIMAL(38, 9)) * 1000000
                WHEN right(follower_count, 1) IN ('b', 'B')
                    THEN CAST(left(follower_count, -1) AS DECIMAL(38, 9)) * 1000000000
                ELSE CAST(follower_count AS DECIMAL(38, 9))
            END AS BIGINT
        )
        WHEN right(follower_count, 1) IN ('k', 'K')
            THEN CAST(left(follower_count, -1) AS BIGINT) * 1000
        WHEN right(follower_count, 1) IN ('m', 'M')
            THEN CAST(left(follower_count, -1) AS BIGINT) * 1000000
        WHEN right(follower_count, 1) IN ('b', 'B')
            THEN CAST(left(follower_count, -1) AS BIGINT) * 1000000000
        ELSE CAST(follower_count AS BIGINT)
    END AS follower_count,
    CASE WHEN poster_name IN ('User Info Error', '') THEN NULL ELSE poster_name END AS poster_name,
    CASE
        WHEN tag_list IN ('N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e', '') THEN NULL
        ELSE tag_list
    END AS tag_list,
    is_image_or_video,
    CASE WHEN image_src IN ('Image src error.', '') THEN NULL ELSE image_src END AS image_src,
    CASE
        WHEN starts_with(save_location, 'Local save in ') THEN substr(save_location, 15)
        ELSE save_location
    END AS save_location,
    category
FROM pin
