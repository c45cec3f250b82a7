SELECT
    UserID,
    SearchPhrase,
    count(*)
FROM hits
GROUP BY UserID, SearchPhrase
ORDER BY count(*) DESC /* ties on 3: , UserID, SearchPhrase */
LIMIT 10;
