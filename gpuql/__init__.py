"""gpuql: an analytical SQL engine whose queries run as compiled pipelines on a GPU or a CPU."""

__version__ = "0.1.0"
