SELECT
    UserID,
    extract(minute FROM EventTime) AS m,
    SearchPhrase,
    count(*)
FROM hits
GROUP BY UserID, m, SearchPhrase
ORDER BY count(*) DESC /* ties on 4: , UserID, m, SearchPhrase */
LIMIT 10;
