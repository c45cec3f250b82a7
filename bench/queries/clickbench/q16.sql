SELECT
    UserID,
    count(*)
FROM hits
GROUP BY UserID
ORDER BY count(*) DESC /* ties on 2: , UserID */
LIMIT 10;
