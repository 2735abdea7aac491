"""Models: prior, posterior and likelihood composed."""

from vaelab.models.conditional import Conditional as Conditional
from vaelab.models.conditional import round_networks as round_networks
from vaelab.models.draw import Draw as Draw
from vaelab.models.hierarchical import ladder as ladder
from vaelab.models.labels import Labels as Labels
from vaelab.models.labels import rows as rows
from vaelab.models.vae import VAE as VAE
from vaelab.models.vae import flat

MODELS = {"vae": flat, "ladder": ladder}
