"""Building blocks that several networks share. Needs torch (extra `train`)."""
