"""Distributions that the models use, and closed forms that torch.distributions lacks or cannot trace."""

from vaelab.distributions.bernoulli import bernoulli as bernoulli
from vaelab.distributions.beta import beta as beta
from vaelab.distributions.categorical import categorical_levels as categorical_levels
from vaelab.distributions.codes import Codebook as Codebook
from vaelab.distributions.codes import Coded as Coded
from vaelab.distributions.codes import Quantised as Quantised
from vaelab.distributions.continuous_bernoulli import continuous_bernoulli as continuous_bernoulli
from vaelab.distributions.coupled import coupled_logistics as coupled_logistics
from vaelab.distributions.discretised import discretised_logistic as discretised_logistic
from vaelab.distributions.discretised_normal import discretised_normal as discretised_normal
from vaelab.distributions.divergence import kl_divergence as kl_divergence
from vaelab.distributions.divergence import kl_per_dimension as kl_per_dimension
from vaelab.distributions.flow import Flow as Flow
from vaelab.distributions.flow import autoregressive_maps as autoregressive_maps
from vaelab.distributions.logsumexp import log_mean_exp as log_mean_exp
from vaelab.distributions.mean import mean_of as mean_of
from vaelab.distributions.mean import two_means_of as two_means_of
from vaelab.distributions.mixture import Mixture as Mixture
from vaelab.distributions.normal import diagonal_normal as diagonal_normal
from vaelab.distributions.normal import full_normal as full_normal
from vaelab.distributions.normal import is_diagonal_normal as is_diagonal_normal
from vaelab.distributions.sphere import UniformSphere as UniformSphere
from vaelab.distributions.sphere import VonMisesFisher as VonMisesFisher
from vaelab.distributions.student import student_t as student_t
from vaelab.distributions.transformer import Autoregressive as Autoregressive
from vaelab.distributions.transformer import CausalTransformer as CausalTransformer
