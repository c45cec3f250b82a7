SELECT
    SearchPhrase,
    min(URL),
    count(*) AS c
FROM hits
WHERE
    URL LIKE '%google%'
    AND SearchPhrase <> ''
GROUP BY SearchPhrase
ORDER BY c DESC /* ties on 3: , SearchPhrase */
LIMIT 10;
