"""TLS: certificates read, watched and served, and the directory in which certificate authorities look for proof."""
