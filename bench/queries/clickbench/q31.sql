SELECT
    SearchEngineID,
    ClientIP,
    count(*) AS c,
    sum(IsRefresh),
    avg(ResolutionWidth)
FROM hits
WHERE SearchPhrase <> ''
GROUP BY SearchEngineID, ClientIP
ORDER BY c DESC /* ties on 3: , SearchEngineID, ClientIP */
LIMIT 10;
