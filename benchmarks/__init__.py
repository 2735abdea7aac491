"""The speed benchmark: the same work done by vaelab and by its peers, side by side (see README.md)."""
