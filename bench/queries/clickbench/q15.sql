SELECT
    SearchEngineID,
    SearchPhrase,
    count(*) AS c
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchEngineID, SearchPhrase
ORDER BY c DESC /* ties on 3: , SearchEngineID, SearchPhrase */
LIMIT 10;
