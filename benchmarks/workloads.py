"""The workloads, the rows of each, and the time limits of processes. This module imports no library."""

from dataclasses import dataclass, field, replace

THREADS = 2  # number of threads and of processors for every process
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8  # Adam, for all
COMPONENTS = 10  # of the mixture of discretised logistics
NLL_SAMPLES = 5000  # K of (e)

MNIST, SVHN = (1, 28, 28), (3, 32, 32)  # (C, H, W)


@dataclass(frozen=True)
class Trainer:
    """The training that every peer does: architecture, likelihood, batch and number of steps.

    A block is an epoch: `images` / `batch` steps over all images once, in a random order.

    Arguments:
        shape: (C, H, W).
        hidden: sizes of the encoder's fully connected layers, mirrored in the decoder.
        channels: maps of its 4 x 4 convolutions of stride 2 before them, mirrored by transposed ones.
        latent: D.
        likelihood: bernoulli | gaussian (sigma = 1) | logistic (a mixture of ten discretised ones).
        samples: k of the importance-weighted bound; 0 for the ELBO.
        batch: images in a step.
        images: number of images in the training array, a multiple of the batch.
        warm: number of blocks that are not timed.
        blocks: number of blocks that are timed.
    """

    shape: tuple[int, int, int]
    hidden: tuple[int, ...]
    channels: tuple[int, ...]
    latent: int
    likelihood: str
    samples: int
    batch: int
    images: int
    warm: int
    blocks: int

    @property
    def activation(self) -> str:
        return "relu" if self.channels else "tanh"

    @property
    def steps(self) -> int:
        """In a block."""
        return self.images // self.batch

    @property
    def parameters(self) -> int:
        """Channels of the decoder's output."""
        return self.shape[0] * (3 * COMPONENTS if self.likelihood == "logistic" else 1)


@dataclass(frozen=True)
class Contestant:
    """One row of a table: the module to start, and its arguments.

    Arguments:
        primed: whether the module is started once before the first pair, with an empty compile cache.
    """

    peer: str
    precision: str = "float32"
    module: str = ""
    arguments: tuple[str, ...] = ()
    primed: bool = False

    @property
    def label(self) -> str:
        return f"{self.peer} {self.precision}".strip()


@dataclass(frozen=True)
class Workload:
    """One table.

    Arguments:
        measure: the field of a process's report that is compared, and its unit.
        references: labels of the rows that ratios refer to: a ratio above 1 means that the reference is faster.
        pairs: the number of times that all rows are measured.
        timeout: time limit of one process in seconds.
    """

    key: str
    title: str
    measure: tuple[str, str]
    contestants: tuple[Contestant, ...]
    references: tuple[str, ...]
    pairs: int
    timeout: float
    training: Trainer | None = None
    note: str = ""
    sizes: dict[str, int] = field(default_factory=dict)  # peer -> number of images, in (e)


VAELAB = Contestant("vaelab", module="benchmarks.vaelab_peer", primed=True)
VAELAB_BF16 = replace(VAELAB, precision="bfloat16")
PLAIN = Contestant("PyTorch loop", module="benchmarks.plain")
PYTHAE = Contestant("pythae", module="benchmarks.pythae_peer")
JAX = Contestant("JAX", module="benchmarks.jax_peer")
BOTH = (VAELAB.label, VAELAB_BF16.label)

A = Trainer(MNIST, (500,), (), 20, "bernoulli", 0, batch=100, images=8_000, warm=1, blocks=3)
B = Trainer(MNIST, (200, 200), (), 50, "bernoulli", 5, batch=20, images=3_000, warm=1, blocks=3)
C = Trainer(SVHN, (), (32, 64, 128), 100, "gaussian", 0, batch=100, images=800, warm=1, blocks=2)
D = replace(C, likelihood="logistic", images=300)

STEP = ("step_ms", "ms a step")
SECONDS = ("seconds", "s")


def _starting(peer: str, *arguments: str) -> Contestant:
    return Contestant(peer, "", "benchmarks.starting", arguments)


def _study(peer: str, *flags: str) -> Contestant:
    return Contestant(peer, "", "benchmarks.studying", flags)


FULL = (
    Workload(
        "a",
        "MNIST 784-500-20-500-784 tanh, ELBO, batch 100",
        STEP,
        (VAELAB, VAELAB_BF16, JAX, PLAIN, PYTHAE),
        BOTH,
        pairs=5,
        timeout=120,
        training=A,
    ),
    Workload(
        "b",
        "MNIST 784-200-200-50 and back, tanh, IWAE k = 5, batch 20",
        STEP,
        (VAELAB, JAX, PLAIN, PYTHAE),
        (VAELAB.label,),
        pairs=5,
        timeout=120,
        training=B,
    ),
    Workload(
        "c",
        "SVHN 3 x 32 x 32, convolutions 32-64-128 and back, z = 100, Gaussian sigma = 1, batch 100",
        STEP,
        (VAELAB, VAELAB_BF16, JAX, PLAIN, PYTHAE),
        BOTH,
        pairs=5,
        timeout=180,
        training=C,
    ),
    Workload(
        "d",
        "the same network, mixture of 10 discretised logistics on 8-bit levels",
        STEP,
        (VAELAB, PLAIN),
        (VAELAB.label,),
        pairs=5,
        timeout=240,
        training=D,
        note="pythae has no such likelihood; JAX took eight times vaelab's time, too long for a run of 25 minutes",
    ),
    Workload(
        "e",
        f"importance-weighted NLL, K = {NLL_SAMPLES:,}, of MNIST test images by the model of (a)",
        ("image_ms", "ms an image"),
        (
            Contestant("vaelab", module="benchmarks.nll", arguments=("vaelab",)),
            Contestant("vaelab", "bfloat16", "benchmarks.nll", ("vaelab",)),
            Contestant("pythae", module="benchmarks.nll", arguments=("pythae",)),
        ),
        BOTH,
        pairs=5,
        timeout=240,
        training=A,
        sizes={"vaelab": 100, "pythae": 16},
        note="pythae takes one image after another, so a few images are enough; vaelab takes 100 at a time",
    ),
    Workload(
        "f",
        "from the command to the end of the first step of (a); loading data",
        SECONDS,
        (
            _starting("vaelab train, eager", "train", "never"),
            replace(_starting("vaelab train, compiled, warm cache", "train", "always"), primed=True),
            _starting("load MNIST", "load", "mnist"),
            _starting("load SVHN, full size", "load", "svhn"),
        ),
        (),
        pairs=5,
        timeout=120,
    ),
    Workload(
        "g",
        "a study of 16 small models, 4 latent dimensions x 4 seeds",
        SECONDS,
        (
            _study("one after another"),
            _study("two processes", "--jobs", "2"),
            _study("vmapped", "--vmapped", "16"),
        ),
        ("two processes", "vmapped"),
        pairs=2,
        timeout=240,
    ),
)

QUICK: dict[str, dict[str, int]] = {"a": {"images": 5_000}, "c": {"images": 500, "blocks": 2}, "e": {}, "f": {}}
QUICK_PAIRS = 2


def workloads(quick: bool) -> dict[str, Workload]:
    """Return the workloads by their letters; with `quick`, smaller versions of some of them, in two pairs.

    A quick run leaves out rows in bfloat16 and compiled starts, which take long to compile, and the full-size SVHN,
    which takes long to generate.
    """
    if not quick:
        return {workload.key: workload for workload in FULL}
    chosen = {}
    for workload in FULL:
        if workload.key not in QUICK:
            continue
        rows = tuple(c for c in workload.contestants if c.precision != "bfloat16")
        kept = {c.label for c in rows}
        chosen[workload.key] = replace(
            workload,
            training=workload.training and replace(workload.training, **QUICK[workload.key]),
            contestants=tuple(c for c in rows if not (workload.key == "f" and (c.primed or "svhn" in c.arguments))),
            references=tuple(label for label in workload.references if label in kept),
            sizes={"vaelab": 100, "pythae": 3} if workload.sizes else {},
            pairs=QUICK_PAIRS,
        )
    return chosen
