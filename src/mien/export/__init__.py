"""From a trained network to an ONNX file with its Spec. Needs torch and onnx (extra `train`)."""
