SELECT *
FROM hits
WHERE URL LIKE '%google%'
ORDER BY EventTime /* ties on 5: , WatchID */
LIMIT 10;
