"""`vaelab replay`."""

from vaelab.cli.commands.flags import MovedData, Root, RunPath, Trust


def replay(run: RunPath, data: MovedData = None, root: Root = None, trust: Trust = ()) -> None:
    """Repeat the training step at which a value became NaN or infinite.

    Training stopped at that step. The command shows in which term, layer, gradient and image the NaN or infinity first
    appeared.
    """
    from vaelab.cli import terminal
    from vaelab.runs.directory import Run
    from vaelab.runs.replay import replay as repeat

    terminal.print_post_mortem(str(run), repeat(Run(run, trust), root, data))
