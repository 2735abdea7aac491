import pytest

from vaelab.likelihoods import LIKELIHOODS
from vaelab.networks import NETWORKS
from vaelab.networks.mlp import FullyConnected
from vaelab.objectives import OBJECTIVES
from vaelab.parts.names import canonical, make, resolve
from vaelab.system.errors import SpecError


def test_options_are_read_by_their_annotations():
    network = make("network", NETWORKS, "mlp:hidden=300,200:activation=relu")
    assert network == FullyConnected(hidden=(300, 200), activation="relu")
    assert make("network", NETWORKS, "mlp:hidden=").hidden == ()
    assert resolve("likelihood", LIKELIHOODS, "gaussian:sigma=0.1").options == {"sigma": 0.1, "mean": "sigmoid"}
    assert resolve("likelihood", LIKELIHOODS, "gaussian:sigma=pixel:mean=free").options == {
        "sigma": "pixel",
        "mean": "free",
    }


def test_two_ways_to_write_one_part_are_one_string():
    assert canonical("network", NETWORKS, "mlp") == canonical("network", NETWORKS, "mlp:activation=gelu:hidden=500")
    for table in (NETWORKS, LIKELIHOODS, OBJECTIVES):
        for name in table:
            text = canonical("part", table, name)
            assert canonical("part", table, text) == text


def test_a_part_of_the_users_own():
    text = "vaelab.networks.mlp:FullyConnected:hidden=7"
    assert make("network", NETWORKS, text).hidden == (7,)
    assert canonical("network", NETWORKS, text) == "vaelab.networks.mlp:FullyConnected:hidden=7:activation=gelu"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mpl", ["unknown network 'mpl'", "article-conv, conv, mlp", "did you mean 'mlp'"]),
        ("mlp:hiden=3", ["hiden", "activation, hidden", "did you mean 'hidden'"]),
        ("mlp:hidden=three", ["hidden of network 'mlp' is 'three'", "integer"]),
        ("mlp:activation=tan", ["unknown activation 'tan'", "tanh"]),
        ("mlp:hidden=0", ["hidden = 0", "at least 1"]),
        ("no.such:Thing", ["cannot be imported", "package.module:Name"]),
        ("vaelab.parts.names:nothing", ["cannot be imported"]),
    ],
)
def test_mistakes_are_told_in_one_line(text, words):
    with pytest.raises(SpecError) as caught:
        make("network", NETWORKS, text)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_option_where_there_is_none():
    with pytest.raises(SpecError, match="has no options"):
        resolve("likelihood", LIKELIHOODS, "bernoulli:sigma=1")


class Asks:
    """Made from what it asks for by name."""

    def __init__(self, latent: int, *, scale: float = 1.0) -> None:
        self.latent, self.scale = latent, scale


def test_a_part_is_given_what_its_parameters_are_called_after():
    part = make("prior", {"asks": Asks}, "asks:scale=2", {"latent": 3, "image_shape": (1, 2, 2)})
    assert (part.latent, part.scale) == (3, 2.0)


def test_a_part_that_asks_for_what_is_not_known_there_is_refused():
    with pytest.raises(SpecError, match=r"prior 'asks', which is made from 'latent'; expected .* posterior; "):
        make("prior", {"asks": Asks}, "asks", {"posterior": None})
    with pytest.raises(SpecError, match="from its options alone"):
        make("prior", {"asks": Asks}, "asks")
