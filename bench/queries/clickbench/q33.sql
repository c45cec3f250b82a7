SELECT
    WatchID,
    ClientIP,
    count(*) AS c,
    sum(IsRefresh),
    avg(ResolutionWidth)
FROM hits
GROUP BY WatchID, ClientIP
ORDER BY c DESC /* ties on 3: , WatchID, ClientIP */
LIMIT 10;
