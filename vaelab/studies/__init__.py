"""The studies that come with vaelab, a TOML file each."""

from pathlib import Path


def known_studies() -> dict[str, Path]:
    """Name -> file of the studies that come with vaelab."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
