SELECT
    regexp_replace(Referer, '^https?://(?:www\.)?([^/]+)/.*$', '\1') AS k,
    avg(strlen(Referer)) AS l,
    count(*) AS c,
    min(Referer)
FROM hits
WHERE Referer <> ''
GROUP BY k
HAVING count(*) > 100000
ORDER BY l DESC /* ties on 2: , k */
LIMIT 25;
