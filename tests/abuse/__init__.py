"""Attacks on what vaelab guarantees: kills, damaged files, unusual command lines. `make abuse` runs thousands."""
