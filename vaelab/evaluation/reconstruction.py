"""The measure of reconstruction: MSE, PSNR and SSIM of images that are encoded and decoded."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from vaelab.evaluation.batches import batches_by_content
from vaelab.evaluation.measure import Better, EvaluationContext, Metric, Progress, evaluating, standard_error
from vaelab.models import VAE
from vaelab.randomness.seeds import derive
from vaelab.system.errors import SpecError
from vaelab.system.world import world

IMAGES = 100  # in a chunk; fixed, because noise is drawn by chunk
WINDOW, SIGMA = 11, 1.5  # pixels
K1, K2 = 0.01, 0.03


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Return 10 log10(1 / MSE), the PSNR with peak 1, of images [N, C, H, W]: [N] in dB; infinite if x = y."""
    return -10 * (x - y).double().square().flatten(1).mean(1).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the SSIM of images [N, C, H, W] with range 1: [N], 1 if x = y (Wang et al. 2004, equation 13).

        (2 mu_x mu_y + c1) (2 sigma_xy + c2) / ((mu_x^2 + mu_y^2 + c1) (sigma_x^2 + sigma_y^2 + c2))

    It is averaged over channels and over the positions at which an 11 x 11 Gaussian window of standard deviation 1.5
    pixels fits within the image. c1 = 0.01^2 and c2 = 0.03^2. The moments are weighted by the window, in float64. For
    smaller images the window is the largest odd one that fits, of `window_size`.
    """
    size = window_size(x.shape[-2:])
    at = torch.arange(size, dtype=torch.float64, device=x.device) - size // 2
    line = torch.exp(-at.square() / (2 * SIGMA**2))
    line /= line.sum()
    n, _, height, width = x.shape
    x, y = (image.double().reshape(-1, 1, height, width) for image in (x, y))

    def mean(image: Tensor) -> Tensor:
        return conv2d(conv2d(image, line[None, None, :, None]), line[None, None, None, :])  # the window is separable

    mu_x, mu_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mu_x**2, mean(y * y) - mu_y**2
    covariance = mean(x * y) - mu_x * mu_y
    c1, c2 = K1**2, K2**2
    luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).reshape(n, -1).mean(1)


def window_size(size: tuple[int, ...] | torch.Size) -> int:
    """Return the pixels along the window for images of height and width `size`: 11, or the largest odd number that
    fits.
    """
    smallest = min(*size, WINDOW)
    return smallest - 1 + smallest % 2


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """MSE, PSNR and SSIM of images x and their reconstructions E_q(z|x)[decoder mean].

    x is what the likelihood sees: the pixels of the protocol, drawn again under binary-dynamic and 8bit. The MSE is
    unbiased for the exact expectation: the mean of S decoder means adds its own variance to the error, which is
    estimated from the same draws and subtracted. PSNR and SSIM use the mean of the S decoder means without correction.

    Arguments:
        samples: S, draws of z for each image; with 1 the variance is unknown, and the MSE is too large by it.
    """

    samples: int = 16

    def __post_init__(self) -> None:
        if self.samples < 1:
            found = f"samples = {self.samples}"
            raise SpecError(found=found, expected="at least 1 draw of z for each image", do="use samples=1 or more")

    def check(self, context: EvaluationContext) -> None:
        context.need_images("reconstruction", 1)

    @torch.no_grad()
    def __call__(self, context: EvaluationContext, progress: Progress) -> list[Metric]:
        data, model = context.data, context.model

        def seed_noise(number: int) -> None:
            torch.manual_seed(derive(context.seed, "evaluation", number))

        columns = torch.zeros(len(data), 4, dtype=torch.float64)  # one tensor: see `estimate_bounds`
        own = torch.zeros(len(data), dtype=torch.bool)
        with evaluating(model):
            for batch in batches_by_content(model, data, IMAGES, seed_noise, progress=progress, shared=True):
                places = slice(batch.number * IMAGES, batch.number * IMAGES + len(batch.x))
                of_each = _chunk(model.given(batch.labels), batch.x, self.samples)
                own[places] = True
                columns[places] = torch.stack(of_each, 1)
        error, variance, decibels, similarity = world().completed({"": columns}, own)[""].T.contiguous()
        k = self.samples
        plain = "one draw: too large by the variance of the decoder's mean" if k == 1 else ""
        size = window_size(data.shape[1:])
        window = f"window {size} x {size}, the largest that fits" if size < WINDOW else ""

        exact = decibels.isinf()
        perfect = f"without {int(exact.sum()):,} images that are reproduced exactly (infinite)" if exact.any() else ""

        def metric(name: str, better: Better, per_image: Tensor, unit: str, note: str) -> Metric:
            n, value, se = len(per_image), per_image.mean().item(), standard_error(per_image)
            kept = per_image if n == len(data) else None  # otherwise two runs could not be compared image by image
            return context.metric(
                name, value, unit, better=better, images=n, se=se, samples=k, note=note, per_image=kept
            )

        return [
            metric("reconstruction_mse", "lower", error - variance, "per pixel in [0, 1]", plain),
            *([] if exact.all() else [metric("psnr", "higher", decibels[~exact], "dB", perfect)]),
            metric("ssim", "higher", similarity, "1 for equal images", window),
        ]


def _chunk(model: VAE, x: Tensor, samples: int) -> tuple[Tensor, ...]:
    """Return the squared error of the mean of S decoder means, its variance, PSNR and SSIM of images x, [N] each."""
    q, x = model.posterior(x), x.cpu()
    total, squares = torch.zeros_like(x, dtype=torch.float64), torch.zeros_like(x, dtype=torch.float64)
    for _ in range(samples):
        mean = model.likelihood(q.rsample(torch.Size([1]))).mean[0].double().cpu()
        total += mean
        squares += mean.square()
    image = total / samples
    variance = (squares / samples - image.square()) / max(1, samples - 1)  # 0 for one draw
    error = (x.double() - image).square()
    return error.flatten(1).mean(1), variance.flatten(1).mean(1), psnr(x, image), ssim(x, image)
