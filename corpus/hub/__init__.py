"""A dataset as users of the Hub know one: configurations, Croissant metadata, datasheet, plots, and the upload."""
