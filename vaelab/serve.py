"""What a `vaelab.workers.Worker` is: one command of vaelab for each line of the input, a JSON list of its arguments."""

import json
import sys

from vaelab.cli import main
from vaelab.workers import END


def serve() -> None:
    """Carry out the commands until the input ends."""
    for line in sys.stdin:
        try:
            status = main(json.loads(line))
        except SystemExit as error:  # of the parser of arguments
            status = error.code if isinstance(error.code, int) else 2
        sys.stderr.flush()
        print(f"{END}{status}", flush=True)


if __name__ == "__main__":
    try:
        serve()
    except KeyboardInterrupt:  # between two commands; whoever gives them has got it too
        sys.exit(130)
