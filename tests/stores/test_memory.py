"""Tests of the store that other tests use: what is shown with it must hold for a real one."""

from sdr.stores.interface import Store
from tests.stores import contract
from tests.stores.memory import MemoryStore


class MemoryContractTests(contract.ConditionalContract):
    """The store in memory keeps the contract of all stores."""

    keeps_headers = True

    def new_store(self) -> Store:
        """Return an empty store."""
        return MemoryStore()


class WithoutCopiesTests(contract.ConditionalContract):
    """So it does where it is told not to copy."""

    keeps_headers, copies = True, False
    examples = 10

    def new_store(self) -> Store:
        """Return an empty store."""
        return MemoryStore(copies=False)
