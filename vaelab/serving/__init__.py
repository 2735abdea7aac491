"""What is done with a trained model: encode, score, sample, reconstruct and export."""
