SELECT
    RegionID,
    sum(AdvEngineID),
    count(*) AS c,
    avg(ResolutionWidth),
    count(DISTINCT UserID)
FROM hits
GROUP BY RegionID
ORDER BY c DESC /* ties on 3: , RegionID */
LIMIT 10;
