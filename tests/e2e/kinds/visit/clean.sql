-- Doors in capitals, money in cents.
SELECT id, upper(door) AS door, "at", CAST(round(euros * 100) AS BIGINT) AS cents
FROM visit
