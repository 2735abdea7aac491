"""Studies: a grid of runs and its report. Each built-in study is a TOML file in this folder."""

from pathlib import Path


def known_studies() -> dict[str, Path]:
    """Return the built-in studies: name -> file."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.toml"))}
