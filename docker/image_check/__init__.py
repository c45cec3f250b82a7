"""Runs what the Dockerfiles install, where there is no container engine.

In: a Dockerfile. Out: its steps, run in a temporary folder that stands for the image, then its health check and its
entry point. ``dockerfile`` reads the file, ``ignore`` says what of the checkout a builder sees, ``replay`` runs the
steps of one stage after the other, ``__main__`` says what the result must do.
"""
