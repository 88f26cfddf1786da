"""Looking inside a network: its blocks, costs and receptive field, and what it looks at in a face."""
