"""Runners of test corpora that ship with the package, so that others can check an installation."""
