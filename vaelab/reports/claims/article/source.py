"""The article whose study this is, and the data sets that it speaks of."""

from vaelab.reports.claims.claim import CitedPlace

ARTICLE = CitedPlace(
    "Project: Variational Autoencoder",
    "Johnew Zhang",
    "an article on his web site; its text does not give the address: search for the title with the author's name",
)
MNIST, SVHN = "mnist", "svhn"

MNIST_SECTION = "Empirical Analysis, MNIST Data"
MLP_SECTION = "SVHN Data, Experiments with Bernoulli Decoder and Fully Connected Neural Network"
CONV_SECTION = "SVHN Data, Experiments with Bernoulli Decoder and Convolutional Neural Network"
GAUSSIAN_SECTION = "SVHN Data, Experiments with Gaussian Decoder and Convolutional Neural Network"
CONCLUSION = "Conclusion"
