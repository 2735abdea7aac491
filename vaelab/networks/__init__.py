"""Networks. A network is a recipe for two modules: encoder(image shape, n) and decoder(n, image shape).

Sizes follow from the given shapes; the keyword-only parameters are the user's choices.
"""

from collections.abc import Callable

from vaelab.networks.conv import ArticleConvolutional, Convolutional
from vaelab.networks.mlp import FullyConnected
from vaelab.networks.residual import Residual
from vaelab.parts.contracts import Network

NETWORKS: dict[str, Callable[..., Network]] = {
    "mlp": FullyConnected,
    "conv": Convolutional,
    "article-conv": ArticleConvolutional,
    "residual": Residual,
}
