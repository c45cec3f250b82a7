SELECT SearchPhrase
FROM hits
WHERE SearchPhrase <> ''
ORDER BY EventTime /* ties: , SearchPhrase */
LIMIT 10;
