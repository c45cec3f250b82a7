SELECT
    SearchPhrase,
    count(*) AS c
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchPhrase
ORDER BY c DESC /* ties on 2: , SearchPhrase */
LIMIT 10;
