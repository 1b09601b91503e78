"""What a view lets the driver open and show."""
