SELECT
    RegionID,
    count(DISTINCT UserID) AS u
FROM hits
GROUP BY RegionID
ORDER BY u DESC /* ties on 2: , RegionID */
LIMIT 10;
