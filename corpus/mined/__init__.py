"""The mined origin: repositories, the snippets in them, and the miner that has them traced."""
