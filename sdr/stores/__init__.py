"""Stores, as the publishing side writes them: a directory, an S3 bucket, a Swift container."""
