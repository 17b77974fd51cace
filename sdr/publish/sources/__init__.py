"""Where images come from: the archives and layouts that hold them, read where they lie."""
