SELECT
    URL,
    count(*) AS c
FROM hits
GROUP BY URL
ORDER BY c DESC /* ties on 2: , URL */
LIMIT 10;
