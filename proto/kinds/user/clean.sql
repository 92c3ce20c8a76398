-- Who made a post: both names become one. A user with one name missing has none.
--
-- rule user_name_missing: first_name IS NULL OR last_name IS NULL
SELECT
    ind,
    first_name || ' ' || last_name AS user_name,
    age,
    date_joined
FROM "user"
