"""What a command says that was refused."""

from vaelab.cli.main import main


def told(capsys, *words: object) -> str:
    """The one line of a command that was refused."""
    assert main(list(map(str, words))) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0, said
    assert "; expected " in said
    return said
