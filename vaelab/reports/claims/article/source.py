"""The article, its sections, and the data sets that it is about."""

from vaelab.reports.claims.claim import CitedPlace

ARTICLE = CitedPlace(
    "Project: Variational Autoencoder",
    "Johnew Zhang",
    "an article on his web site; to find it, search for the title and the author's name",
)
MNIST, SVHN = "mnist", "svhn"

MNIST_SECTION = "Empirical Analysis, MNIST Data"
MLP_SECTION = "SVHN Data, Experiments with Bernoulli Decoder and Fully Connected Neural Network"
CONV_SECTION = "SVHN Data, Experiments with Bernoulli Decoder and Convolutional Neural Network"
GAUSSIAN_SECTION = "SVHN Data, Experiments with Gaussian Decoder and Convolutional Neural Network"
CONCLUSION = "Conclusion"
