"""Which constructs a view lets the driver open, and which reveals it adds: one ``Opening`` for each kind of view."""
