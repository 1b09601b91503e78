"""An environment for each repository: what its files ask for, resolved and installed from wheels, beside the mining."""
