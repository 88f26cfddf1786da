"""One file per detector; each registers itself."""
