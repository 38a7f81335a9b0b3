"""Where names and bytes come from: one upstream each. Nothing here knows of the store."""
