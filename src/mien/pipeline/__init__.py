"""From a source to a table: sources, the flow, ONNX backend, writers. No torch."""
