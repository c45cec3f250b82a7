SELECT
    SearchPhrase,
    count(DISTINCT UserID) AS u
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchPhrase
ORDER BY u DESC /* ties on 2: , SearchPhrase */
LIMIT 10;
