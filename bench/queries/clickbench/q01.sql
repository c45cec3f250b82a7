SELECT count(*)
FROM hits;
