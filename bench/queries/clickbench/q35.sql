SELECT
    1,
    URL,
    count(*) AS c
FROM hits
GROUP BY 1, URL
ORDER BY c DESC /* ties on 3: , URL */
LIMIT 10;
