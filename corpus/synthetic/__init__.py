"""The synthetic origin: tasks whose law is known, with exact beliefs."""
