"""What an operator and his monitoring see of an endpoint: whether it lives, whether it is ready, and what it counts."""
