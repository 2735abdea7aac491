"""The explorer: a page in which trained models run."""
