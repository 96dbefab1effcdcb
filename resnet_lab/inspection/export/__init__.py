"""A net as a file for others: ONNX, safetensors, a Python file, its spec."""
