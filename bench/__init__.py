"""What is measured; each module says in its first lines how to run it."""
