"""The speed benchmark: vaelab and its peers do the same work (see README.md)."""
