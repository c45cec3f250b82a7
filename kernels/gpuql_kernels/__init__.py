"""Arrays in, arrays out: static kernel families, and the generator of fused pipelines. Knows no SQL."""
