"""Images in, tree out: the sources that images come from, and the publisher that writes them into a store."""
