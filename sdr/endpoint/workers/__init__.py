"""Several processes on the same sockets: the parent polls and watches, workers answer."""
