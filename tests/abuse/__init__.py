"""Attacks on what vaelab promises: kills, damaged files, strange command lines. `make abuse` makes thousands."""
