"""The fast way of the questions that most clients ask: recognised in one look, answered from what is prepared.

What is not plain, or needs a look at the store, goes Twisted Web's way; the bytes of the answers are the same.
"""
