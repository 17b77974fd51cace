"""What the endpoint knows of a tree: the lists, the documents it fetched, and how it comes to know."""
