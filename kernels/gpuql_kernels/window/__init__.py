"""Folds over frames, which are ranges of rows: values and bounds of frames in; one value for each frame out."""
