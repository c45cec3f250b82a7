"""The command line: ``gpuql -c "SELECT 1"``, ``gpuql bench``, ``gpuql doctor``, ``gpuql warmup``."""
