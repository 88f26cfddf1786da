"""Small programs that drive one peer each, run by the Python of the peer's own environment; they import no mien."""
