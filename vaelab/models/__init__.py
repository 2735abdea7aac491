"""Models: prior, posterior and likelihood composed."""

from vaelab.models.conditional import Conditional as Conditional
from vaelab.models.draw import Draw as Draw
from vaelab.models.vae import VAE as VAE
