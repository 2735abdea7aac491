"""`vaelab replay`."""

from vaelab.cli.commands.flags import MovedData, Root, RunPath, Trust


def replay(run: RunPath, data: MovedData = None, root: Root = None, trust: Trust = ()) -> None:
    """Repeat the step at which a value became NaN or infinite.

    Training stops at that step. The post-mortem shows where the NaN or infinity first appears: term, layer, gradient
    and image.
    """
    from vaelab.cli import terminal
    from vaelab.runs.directory import Run
    from vaelab.runs.replay import replay as repeat

    terminal.print_post_mortem(str(run), repeat(Run(run, trust), root, data))
