"""What people look at: annotated copies of pictures and videos, and charts of the scores over time."""
