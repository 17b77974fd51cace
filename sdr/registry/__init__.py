"""The registry protocol as data: names, questions, manifests and error bodies; the standard library only."""
