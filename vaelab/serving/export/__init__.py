"""A trained model as files that other programs read: ONNX, torch.export, safetensors, and a model card."""
