"""What trials keep of their evaluation, read by safetensors' own package."""

import json

import safetensors


def read_predictions(artifact):
    """Log probabilities, [n, classes], true classes, [n], and the file's keys, classes and epoch."""
    with safetensors.safe_open(artifact["path"], "numpy") as file:
        return (file.get_tensor("log_probabilities"), file.get_tensor("truth"),
                {key: json.loads(file.metadata()[key]) for key in ("keys", "classes", "epoch")})
