"""Channels that go together, found by one forward of any model, and models without some of them."""
