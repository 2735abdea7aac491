"""`vaelab replay`."""

from vaelab.cli.commands.flags import MovedData, Root, RunPath, Trust


def replay(run: RunPath, data: MovedData = None, root: Root = None, trust: Trust = ()) -> None:
    """Repeat the step at which a value became NaN or infinite.

    Training stops at such a step. The post-mortem shows the terms, layers, gradients and images in which it begins.
    """
    from vaelab.cli import terminal
    from vaelab.runs.directory import Run
    from vaelab.runs.replay import replay as repeat

    terminal.print_post_mortem(str(run), repeat(Run(run, trust), root, data))
